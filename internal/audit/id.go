package audit

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/oklog/ulid/v2"
)

// NewID makes a decision id: a ULID, whose first ten characters are the time. One allocation.
//
// The random part comes from the runtime's ChaCha8, seeded by the operating system: ids of one millisecond do not
// collide across a fleet (80 bits), and nothing about the process can be read from them. An id grants nothing.
func NewID(now time.Time) string {
	var id ulid.ULID
	var random [16]byte
	binary.LittleEndian.PutUint64(random[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(random[8:], rand.Uint64())
	copy(id[6:], random[:10])
	ms := uint64(now.UnixMilli())
	id[0], id[1], id[2] = byte(ms>>40), byte(ms>>32), byte(ms>>24)
	id[3], id[4], id[5] = byte(ms>>16), byte(ms>>8), byte(ms)
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
