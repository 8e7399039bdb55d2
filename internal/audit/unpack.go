package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/usher-im/usher/internal/reason"
)

var errRow = errors.New("the row is damaged")

// Fields walks over the fields of a packed event. The zero value walks over nothing.
type Fields struct {
	rest []byte
	bad  bool
}

// head is the fixed part of a packed event.
type head struct {
	flags, codes byte
	latency      int64
	id           ulid.ULID
	ms           int64
}

func (h head) kind() Kind {
	if k := int(h.flags & kindMask); k < len(kinds) {
		return kinds[k]
	}
	return ""
}

func (h head) verdict() Verdict { return verdicts[h.flags>>verdictShift&verdictMask] }

func (h head) proven() bool { return h.flags&flagProven != 0 }

// allowed says that a row is a decision that let somebody in: the many, kept apart from those that matter later.
func (h head) allowed() bool { return h.flags&kindMask == 0 && h.verdict() == Allow }

func split(data []byte) (head, Fields, error) {
	var h head
	if len(data) < 3 {
		return h, Fields{}, errRow
	}
	if data[0] != layoutVersion {
		return h, Fields{}, fmt.Errorf("the row was written by a newer usher (layout %d): read it with that version", data[0])
	}
	h.flags, h.codes = data[1], data[2]
	latency, n := binary.Uvarint(data[3:])
	if n <= 0 {
		return h, Fields{}, errRow
	}
	h.latency = int64(latency)
	data = data[3+n:]
	if h.flags&flagULID != 0 {
		if len(data) < len(h.id) {
			return h, Fields{}, errRow
		}
		copy(h.id[:], data)
		data = data[len(h.id):]
	}
	if h.flags&flagIDTime != 0 {
		h.ms = int64(h.id.Time())
		return h, Fields{rest: data}, nil
	}
	if len(data) < 6 {
		return h, Fields{}, errRow
	}
	h.ms = int64(binary.BigEndian.Uint16(data))<<32 | int64(binary.BigEndian.Uint32(data[2:]))
	return h, Fields{rest: data[6:]}, nil
}

// Next gives the next field; the value lies in the row. The value of a coded tag is the number in its written form.
func (f *Fields) Next() (Tag, []byte, bool) {
	if len(f.rest) < 2 {
		f.bad = f.bad || len(f.rest) != 0
		return 0, nil, false
	}
	tag, size, head := Tag(f.rest[0]), int(f.rest[1]), 2
	switch {
	case tag&Coded != 0:
		_, n := binary.Uvarint(f.rest[1:])
		if n <= 0 {
			f.bad = true
			return 0, nil, false
		}
		size, head = n, 1
	case size >= 0x80:
		v, n := binary.Uvarint(f.rest[1:])
		if n <= 0 || v > uint64(len(f.rest)) {
			f.bad = true
			return 0, nil, false
		}
		size, head = int(v), 1+n
	}
	if size > len(f.rest)-head {
		f.bad = true
		return 0, nil, false
	}
	value := f.rest[head : head+size]
	f.rest = f.rest[head+size:]
	return tag, value, true
}

// Unpack reads a packed event.
func Unpack(data []byte) (Event, error) { return UnpackCoded(data, nil) }

// UnpackCoded reads a packed event in which a store has put numbers in place of texts, with what they stand for.
func UnpackCoded(data []byte, value func(number uint64) ([]byte, bool)) (Event, error) {
	h, fields, err := split(data)
	if err != nil {
		return Event{}, err
	}
	e := Event{
		Time: time.UnixMilli(h.ms).UTC(), Kind: h.kind(), Verdict: h.verdict(), Proven: h.proven(),
		Stage: named(stages[:], h.codes&other), Alg: named(algs[:], h.codes>>4), LatencyUS: h.latency,
	}
	if h.flags&flagULID != 0 {
		e.ID = h.id.String()
	}
	for {
		tag, text, ok := fields.Next()
		if !ok {
			break
		}
		if tag&Coded != 0 {
			number, _ := binary.Uvarint(text)
			if value == nil {
				return e, errRow
			}
			if text, ok = value(number); !ok {
				return e, errRow
			}
			tag &^= Coded
		}
		e.set(tag, text)
	}
	if fields.bad {
		return e, errRow
	}
	return e, nil
}

func named(list []string, n byte) string {
	if int(n) < len(list) {
		return list[n]
	}
	return ""
}

func (e *Event) set(tag Tag, value []byte) {
	switch tag {
	case TagFingerprint:
		copy(e.Fingerprint[:], value)
	case TagAddress4, TagAddress16:
		if addr, ok := netip.AddrFromSlice(value); ok {
			e.RemoteIP = addr.String()
		}
	case TagReason:
		e.Reason = reason.Code(value)
	case TagKind:
		e.Kind = Kind(value)
	default:
		if p := e.place(tag); p != nil {
			*p = string(value)
		}
	}
}

// place is where the text of a tag lives.
func (e *Event) place(tag Tag) *string {
	switch tag {
	case TagNode:
		return &e.Node
	case TagHost:
		return &e.Host
	case TagProfile:
		return &e.Profile
	case TagSession:
		return &e.Session
	case TagDetail:
		return &e.Detail
	case TagIssuer:
		return &e.Issuer
	case TagSubject:
		return &e.Subject
	case TagUser:
		return &e.UserID
	case TagUserName:
		return &e.UserName
	case TagUserEmail:
		return &e.UserEmail
	case TagRoom:
		return &e.Room
	case TagTenant:
		return &e.Tenant
	case TagJTI:
		return &e.JTI
	case TagKid:
		return &e.Kid
	case TagAddressText:
		return &e.RemoteIP
	case TagUserAgent:
		return &e.UserAgent
	case TagActor:
		return &e.Actor
	case TagRevocation:
		return &e.RevocationID
	case TagDecision:
		return &e.DecisionID
	case TagOutcome:
		return &e.Outcome
	case TagID:
		return &e.ID
	case TagStage:
		return &e.Stage
	case TagAlg:
		return &e.Alg
	}
	return nil
}

// FieldsOf gives the fields of a packed event, and the part before them.
func FieldsOf(data []byte) (Fields, []byte) {
	_, fields, err := split(data)
	if err != nil {
		return Fields{}, data
	}
	return fields, data[:len(data)-len(fields.rest)]
}

// HasID says that a row is of this id, without unpacking it.
func HasID(data []byte, id string) bool {
	h, fields, err := split(data)
	if err != nil {
		return false
	}
	if h.flags&flagULID != 0 {
		u, err := ulid.ParseStrict(id)
		return err == nil && u == h.id
	}
	for {
		tag, value, ok := fields.Next()
		if !ok {
			return false
		}
		if tag == TagID {
			return string(value) == id
		}
	}
}
