package audit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
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
		return Place{K: 1<<63 - 1}, nil
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
	until = 1<<63 - 1
	if !q.Since.IsZero() {
		from = FirstK(q.Since)
	}
	if !q.Until.IsZero() {
		until = FirstK(q.Until)
	}
	return from, until
}

// lastMillis is the last moment that keys reach, in the year 2039: those of later ones would begin anew.
const lastMillis = 1<<(63-kShift) - 1

// FirstK is the lowest key of a moment.
func FirstK(t time.Time) uint64 { return uint64(min(max(0, t.UnixMilli()), lastMillis)) << kShift }

// MillisOf is the moment of a key.
func MillisOf(k uint64) int64 { return int64(k >> kShift) }

// Span is keys from From on and below Below.
type Span struct{ From, Below uint64 }

// IDSpans are where the row of an id of ours may lie, the likeliest first: at the moment that the id names; before it,
// where the event names an earlier one; after it, where the clock was set back. None for an id of another make.
func IDSpans(id string) []Span {
	t, ok := idTime(id)
	if !ok {
		return nil
	}
	k := func(d time.Duration) uint64 { return FirstK(t.Add(d)) }
	return []Span{
		{k(0), k(time.Second)}, {k(-time.Second), k(0)}, {k(time.Second), k(30 * time.Second)}, {k(30 * time.Second), k(time.Hour)},
		{k(time.Hour), 1<<63 - 1},
	}
}
