package sqlitestore

import (
	"context"
	"database/sql"
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

const minCoded = 4

// mostCoded is how many texts of a tag dict takes: a flood of made-up ones fills no more, neither the file nor the
// memory, and leaves the other tags alone.
func mostCoded(tag audit.Tag) int {
	if tag == audit.TagRoom {
		return 16_384
	}
	return 2048
}

// dict is the writer's side of the table.
type dict struct {
	words map[string]word // by tag and text
	last  [256]word       // by tag: most texts are that of the row before
	used  [256]int        // by tag
	next  uint64
	fresh []string // not in the file yet
	key   []byte
}

type word struct {
	text   string
	number uint64
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
	last := &d.last[tag]
	if string(text) == last.text {
		return last.number, true
	}
	d.key = append(append(d.key[:0], byte(tag)), text...)
	w, ok := d.words[string(d.key)]
	if !ok {
		if d.used[tag] >= mostCoded(tag) {
			return 0, false
		}
		key := string(d.key)
		w = d.know(key, d.next)
		d.fresh = append(d.fresh, key)
	}
	*last = w
	return w.number, true
}

// know takes a text that has a number.
func (d *dict) know(key string, number uint64) word {
	w := word{key[1:], number}
	d.words[key] = w
	d.used[key[0]]++
	d.next = max(d.next, number+1)
	return w
}

// coded tells whether every text that belongs into a slice's dict is there.
func coded(ctx context.Context, db *sql.DB) (bool, error) {
	rows, err := db.QueryContext(ctx, "SELECT tag, count(*) FROM dict GROUP BY tag")
	if err != nil {
		return false, err
	}
	defer rows.Close()
	all := true
	for rows.Next() {
		var tag audit.Tag
		var n int
		if err := rows.Scan(&tag, &n); err != nil {
			return false, err
		}
		all = all && n < mostCoded(tag)
	}
	return all, rows.Err()
}
