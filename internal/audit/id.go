package audit

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/oklog/ulid/v2"
)

// NewID makes a decision id: a ULID, whose first ten characters are the time.
//
// The random part comes from the runtime's ChaCha8, seeded by the operating system: ids of one millisecond do not
// collide across a fleet (80 bits), and nothing about the process can be read from them. An id grants nothing.
func NewID(now time.Time) string { return IDOf(now.UnixMilli(), rand.Uint64(), rand.Uint64()) }

// IDOf makes the id of a moment in Unix milliseconds and of 80 random bits, the last of a and b. One allocation.
func IDOf(ms int64, a, b uint64) string {
	var id ulid.ULID
	binary.BigEndian.PutUint64(id[:], uint64(ms)<<16|a&0xffff)
	binary.BigEndian.PutUint64(id[8:], b)
	return id.String()
}

// idTime is the moment an id of ours was made.
func idTime(id string) (time.Time, bool) {
	u, err := ulid.ParseStrict(id)
	if err != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(u.Time())), true
}
