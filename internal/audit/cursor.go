package audit

import (
	"fmt"
	"strconv"
	"strings"
)

// Place is where a page ended: the key of its last row and, where several writers share a store, whose it was. Rows
// go newest first by key, rows of one key by writer.
type Place struct {
	K      uint64
	Writer string
}

// Cursor writes a place as clients see it.
func (p Place) Cursor() string {
	if p.Writer == "" {
		return strconv.FormatUint(p.K, 36)
	}
	return strconv.FormatUint(p.K, 36) + "." + p.Writer
}

// Place reads the query's cursor; without one it is the end of all time.
func (q *Query) Place() (Place, error) {
	if q.Cursor == "" {
		return Place{K: LastK}, nil
	}
	key, writer, _ := strings.Cut(q.Cursor, ".")
	k, err := strconv.ParseUint(key, 36, 63)
	if err != nil {
		return Place{}, ErrCursor
	}
	return Place{K: k, Writer: writer}, nil
}

// ErrCursor is the answer to a cursor that no page gave.
var ErrCursor = fmt.Errorf("this cursor is not one that a page gave: start again without it")

// Range is the keys of the query's time, from the first on and below the second.
func (q *Query) Range() (from, until uint64) {
	until = LastK
	if !q.Since.IsZero() {
		from = FirstK(q.Since)
	}
	if !q.Until.IsZero() {
		until = FirstK(q.Until)
	}
	return from, until
}
