package sqlitestore

import (
	"encoding/binary"

	"github.com/usher-im/usher/internal/audit"
)

// codes says that a text goes to dict: one that many rows of a slice share.
func codes(tag audit.Tag, text []byte) bool {
	switch tag {
	case audit.TagNode, audit.TagHost, audit.TagProfile, audit.TagIssuer, audit.TagSubject, audit.TagTenant, audit.TagKid,
		audit.TagRoom, audit.TagUserAgent, audit.TagReason, audit.TagActor:
		return len(text) >= minCoded
	}
	return false
}

const (
	minCoded  = 4
	mostCoded = 16_384 // a flood of made-up texts fills no more than this
)

// dict is the writer's side of the table.
type dict struct {
	numbers map[string]uint64 // by tag and text
	next    uint64
	fresh   []string // not in the file yet
	key     []byte
}

// code replaces the texts of a row that repeat.
func (d *dict) code(dst, data []byte) []byte {
	fields, head := audit.FieldsOf(data)
	dst = append(dst, head...)
	for {
		tag, text, ok := fields.Next()
		if !ok {
			return dst
		}
		if codes(tag, text) {
			if number, ok := d.number(tag, text); ok {
				dst = binary.AppendUvarint(append(dst, byte(tag|audit.Coded)), number)
				continue
			}
		}
		dst = binary.AppendUvarint(append(dst, byte(tag)), uint64(len(text)))
		dst = append(dst, text...)
	}
}

func (d *dict) number(tag audit.Tag, text []byte) (uint64, bool) {
	d.key = append(append(d.key[:0], byte(tag)), text...)
	if n, ok := d.numbers[string(d.key)]; ok {
		return n, true
	}
	if len(d.numbers) >= mostCoded {
		return 0, false
	}
	n := d.next
	d.next++
	key := string(d.key)
	d.numbers[key] = n
	d.fresh = append(d.fresh, key)
	return n, true
}
