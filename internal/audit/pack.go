package audit

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"regexp"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"
	"github.com/zeebo/xxh3"
)

// A packed event, as it lies in the queue, the spill and every store:
//
//	byte     layout version
//	byte     kind (3 bits), verdict (2), proven, id is a ULID, time is the ULID's
//	byte     stage (4 bits), alg (4)
//	uvarint  latency in microseconds
//	16 bytes id, where it is a ULID
//	6 bytes  Unix milliseconds, where they are not the ULID's
//	fields   tag byte, uvarint length, text; empty ones are left out, in the order of the tags
//
// Rows outlive versions: numbers below are never given another meaning, and unknown tags are skipped. Another layout is also
// another schema of each store, so that no store is looked through by who does not know it.
const layoutVersion = 1

const (
	kindMask     = 0x07
	verdictShift = 3
	verdictMask  = 0x03
	flagProven   = 1 << 5
	flagULID     = 1 << 6
	flagIDTime   = 1 << 7
	other        = 0x0f // a stage or alg that has no number, written as a field
	kindOther    = 0x07
)

var (
	kinds    = [...]Kind{Decision, Revocation, Lift, Ejection, Admin}
	verdicts = [...]Verdict{"", Allow, Deny, Unavailable}
	stages   = [...]string{"", "connect", "create", "join", "recheck"}
	algs     = [...]string{"", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)

// Tag numbers a field of a packed event.
type Tag byte

// The tags. TagAddress4, TagAddress16 and TagAddressText are the remote address in its three spellings.
const (
	TagNode Tag = iota + 1
	TagHost
	TagProfile
	TagSession
	TagReason
	TagDetail
	TagIssuer
	TagSubject
	TagUser
	TagUserName
	TagUserEmail
	TagRoom
	TagTenant
	TagJTI
	TagKid
	TagFingerprint
	TagAddress4
	TagAddress16
	TagAddressText
	TagUserAgent
	TagActor
	TagRevocation
	TagDecision
	TagOutcome
	TagID
	TagKind
	TagStage
	TagAlg
)

// Coded marks a tag whose text a store has replaced by a number; the number, a uvarint, stands in place of length and
// text.
const Coded Tag = 0x80

// maxField is where a text from a token or a caller is cut. A cut text ends in a hash of the whole, so that two texts
// stay two and a search by the whole still finds its rows.
const maxField = 256

// cutTail is what stands behind the cut: an ellipsis and 16 hex digits.
const cutTail = len("…") + 16

// texts is every text of an event beside the address, in the order of the tags.
type texts [24]text

func (e *Event) texts() texts {
	return texts{
		{TagNode, e.Node}, {TagHost, e.Host}, {TagProfile, e.Profile}, {TagSession, e.Session},
		{TagReason, string(e.Reason)}, {TagDetail, e.Detail}, {TagIssuer, e.Issuer}, {TagSubject, e.Subject},
		{TagUser, e.UserID}, {TagUserName, e.UserName}, {TagUserEmail, e.UserEmail}, {TagRoom, e.Room},
		{TagTenant, e.Tenant}, {TagJTI, e.JTI}, {TagKid, e.Kid}, {TagUserAgent, e.UserAgent},
		{TagActor, e.Actor}, {TagRevocation, e.RevocationID}, {TagDecision, e.DecisionID}, {TagOutcome, e.Outcome},
		{TagID, e.ID}, {TagKind, string(e.Kind)}, {TagStage, e.Stage}, {TagAlg, e.Alg},
	}
}

type text struct {
	tag   Tag
	value string
}

// packedBound is at least the length of the packed event.
func packedBound(e *Event, fields *texts) int {
	n := 3 + binary.MaxVarintLen64 + 16 + 6 + 2 + len(e.Fingerprint) + 3 + max(16, min(len(e.RemoteIP), maxField))
	for i := range fields {
		n += 3 + min(len(fields[i].value), maxField)
	}
	return n
}

// Pack appends the packed event to dst.
func Pack(dst []byte, e *Event) []byte {
	fields := e.texts()
	return pack(dst, e, &fields)
}

func pack(dst []byte, e *Event, fields *texts) []byte {
	kind, verdict := code(kinds[:], e.Kind, kindOther), code(verdicts[:], e.Verdict, 0)
	stage, alg := code(stages[:], e.Stage, other), code(algs[:], e.Alg, other)
	ms := uint64(e.Time.UnixMilli())

	flags := kind | verdict<<verdictShift
	if e.Proven {
		flags |= flagProven
	}
	id, err := ulid.ParseStrict(e.ID)
	if err == nil {
		flags |= flagULID
		if id.Time() == ms {
			flags |= flagIDTime
		}
	}
	dst = append(dst, layoutVersion, flags, stage|alg<<4)
	dst = binary.AppendUvarint(dst, uint64(max(e.LatencyUS, 0)))
	if flags&flagULID != 0 {
		dst = append(dst, id[:]...)
	}
	if flags&flagIDTime == 0 {
		dst = append(dst, byte(ms>>40), byte(ms>>32), byte(ms>>24), byte(ms>>16), byte(ms>>8), byte(ms))
	}
	for i := range fields {
		f := &fields[i]
		if f.value == "" || f.tag >= TagID && coded(f.tag, flags, stage, alg) {
			continue
		}
		dst = appendField(dst, f.tag, f.value)
	}
	if e.Fingerprint != (Fingerprint{}) {
		dst = append(append(dst, byte(TagFingerprint), byte(len(e.Fingerprint))), e.Fingerprint[:]...)
	}
	return appendAddress(dst, e.RemoteIP)
}

// coded says that a text already stands in the head.
func coded(t Tag, flags, stage, alg byte) bool {
	switch t {
	case TagID:
		return flags&flagULID != 0
	case TagKind:
		return flags&kindMask != kindOther
	case TagStage:
		return stage != other
	case TagAlg:
		return alg != other
	}
	return false
}

func code[T ~string](list []T, v T, unknown byte) byte {
	for i, known := range list {
		if v == known {
			return byte(i)
		}
	}
	return unknown
}

func appendField(dst []byte, t Tag, v string) []byte {
	if len(v) <= maxField {
		dst = binary.AppendUvarint(append(dst, byte(t)), uint64(len(v)))
		return append(dst, v...)
	}
	keep := maxField - cutTail
	for keep > 0 && !utf8.RuneStart(v[keep]) {
		keep--
	}
	dst = binary.AppendUvarint(append(dst, byte(t)), uint64(keep+cutTail))
	dst = append(append(dst, v[:keep]...), "…"...)
	var sum [8]byte
	binary.BigEndian.PutUint64(sum[:], xxh3.HashString(v))
	return hex.AppendEncode(dst, sum[:])
}

// Cut is v as an event keeps it.
func Cut(v string) string {
	if len(v) <= maxField {
		return v
	}
	return string(appendField(nil, 0, v)[3:])
}

// substitute is what Cut leaves of a long text, and what Pseudonyms puts in place of a value.
var substitute = regexp.MustCompile("…[0-9a-f]{16}$|^" + pseudonymMark + "[a-z2-7]{24}$")

// Substitute says that an event keeps v in place of a value that is not known from it.
func Substitute(v string) bool { return substitute.MatchString(v) }

// appendAddress writes an address by its bytes, so that one address has one spelling (::ffff:192.0.2.1 is 192.0.2.1).
func appendAddress(dst []byte, ip string) []byte {
	if ip == "" {
		return dst
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return appendField(dst, TagAddressText, ip)
	}
	addr = addr.Unmap()
	if addr.Is4() {
		b := addr.As4()
		return append(append(dst, byte(TagAddress4), 4), b[:]...)
	}
	b := addr.As16()
	return append(append(dst, byte(TagAddress16), 16), b[:]...)
}

// Address is ip as an event keeps it.
func Address(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return Cut(ip)
	}
	return addr.Unmap().WithZone("").String()
}
