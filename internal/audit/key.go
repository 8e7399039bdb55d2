package audit

import "time"

// A row's key, K, is the moment it was recorded, in Unix milliseconds, and a sequence in the KeyBits behind that. Keys
// stay below LastK, as much as a signed integer holds: they reach to the year 2039, and later moments share its end.
const (
	KeyBits = 22
	LastK   = 1<<63 - 1
)

// FirstK is the lowest key of a moment.
func FirstK(t time.Time) uint64 { return firstK(t.UnixMilli()) }

func firstK(millis int64) uint64 { return uint64(min(max(0, millis), MillisOf(LastK))) << KeyBits }

// MillisOf is the moment of a key.
func MillisOf(k uint64) int64 { return int64(k >> KeyBits) }

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
		{k(time.Hour), LastK},
	}
}
