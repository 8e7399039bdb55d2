package audit

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/usher-im/usher/internal/room"
)

// Term is something that stores find rows by.
type Term int

// The terms, the most selective first.
const (
	ByFingerprint Term = iota
	ByJTI
	ByUser
	ByAddress
	ByRoom
	Terms // how many there are
)

// Hasher turns values into the 32 bits that stores search for. It is keyed, so that nobody who writes tokens can make
// values that collide; a row that was found is checked against the query all the same.
type Hasher uint64

// Outline is what a store must know of a row without unpacking it. Its slices lie in the row.
type Outline struct {
	Millis  int64
	Allowed bool // a decision that let somebody in
	Kind    Kind
	Verdict Verdict
	Proven  bool
	Reason  []byte
	Issuer  []byte
	Hash    [Terms]uint32 // 0 where the row has no such value
}

// Outline reads a row whose texts are not coded.
func (h Hasher) Outline(data []byte) (Outline, error) {
	head, fields, err := split(data)
	if err != nil {
		return Outline{}, err
	}
	o := Outline{Millis: head.ms, Allowed: head.allowed(), Kind: head.kind(), Verdict: head.verdict(), Proven: head.proven()}
	for {
		tag, value, ok := fields.Next()
		if !ok {
			break
		}
		switch tag {
		case TagReason:
			o.Reason = value
		case TagIssuer:
			o.Issuer = value
		case TagFingerprint:
			o.Hash[ByFingerprint] = h.hash(value, ByFingerprint)
		case TagJTI:
			o.Hash[ByJTI] = h.hash(value, ByJTI)
		case TagUser:
			o.Hash[ByUser] = h.hash(value, ByUser)
		case TagAddress4, TagAddress16, TagAddressText:
			o.Hash[ByAddress] = h.hash(value, ByAddress)
		case TagRoom:
			o.Hash[ByRoom] = h.hash(roomName(value), ByRoom)
		}
	}
	if fields.bad {
		return o, errRow
	}
	return o, nil
}

func (h Hasher) hash(value []byte, t Term) uint32 {
	v := uint32(xxh3.HashSeed(value, uint64(h)+uint64(t)))
	return max(v, 1)
}

// Search chooses the most selective term of a query and gives the hashes to look for; none where the query has no term.
func (h Hasher) Search(q *Query) (Term, []uint32) {
	hashes := func(t Term, values ...string) (Term, []uint32) {
		var all []uint32
		for _, v := range values {
			if v == "" {
				continue
			}
			if n := h.hash([]byte(v), t); !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
		return t, all
	}
	switch {
	case q.Fingerprint != Fingerprint{}:
		return hashes(ByFingerprint, string(q.Fingerprint[:]))
	case q.JTI != "":
		return hashes(ByJTI, Cut(q.JTI))
	case q.User != "":
		return hashes(ByUser, Cut(q.User), q.userAlias)
	case q.RemoteIP != "":
		return hashes(ByAddress, addressKey(q.RemoteIP), q.addressAlias)
	case q.Room != "":
		return hashes(ByRoom, string(roomName([]byte(Cut(q.Room)))))
	}
	return Terms, nil
}

func addressKey(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return Cut(ip)
	}
	return string(addr.Unmap().AsSlice())
}

// roomName is what rooms are found by: the name without tenant and domain, as rooms are compared, so that a person may ask
// for a room the way a client shows it and a keyboard writes it.
func roomName(jid []byte) []byte {
	name, _, _ := bytes.Cut(jid, []byte("@"))
	_, name = cutTenant(name)
	for _, c := range name {
		if c < 0x80 && c != '%' && (c < 'A' || 'Z' < c) {
			continue
		}
		if prepared, ok := room.Name(string(name)); ok {
			return []byte(prepared)
		}
		return bytes.ToLower(name)
	}
	return name
}

// cutTenant takes the [tenant] off a room's name or JID; none, where there is none.
func cutTenant(name []byte) (tenant, rest []byte) {
	if len(name) > 0 && name[0] == '[' {
		if tenant, rest, ok := bytes.Cut(name[1:], []byte("]")); ok {
			return tenant, rest
		}
	}
	return nil, name
}

// sameRoom says that a room of an event is the one that was asked for: by its JID, by its name, or by [tenant]name.
func sameRoom(asked, of string) bool {
	_, domain, whole := strings.Cut(asked, "@")
	if _, its, _ := strings.Cut(of, "@"); whole && !strings.EqualFold(domain, its) {
		return false
	}
	tenant, _ := cutTenant([]byte(asked))
	if its, _ := cutTenant([]byte(of)); (whole || len(tenant) > 0) && room.Folded(string(tenant)) != room.Folded(string(its)) {
		return false
	}
	name := roomName([]byte(asked))
	return len(name) > 0 && bytes.Equal(name, roomName([]byte(of)))
}
