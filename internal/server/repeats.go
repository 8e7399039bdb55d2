package server

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/usher-im/usher/internal/audit"
)

const (
	// shards spreads the memory of ids over as many locks, so that questions do not wait for each other.
	shards = 64
	// maxAsked bounds what is remembered: a million questions a minute. Where more come, ids are forgotten sooner; the
	// shim asks again within two seconds or never.
	maxAsked = 1_000_000
)

// repeats remembers the ids of questions for a while, so that a question asked again over another connection stays one
// decision. A true repeat has the same body; the same id with another body is a mistake of the caller.
//
// It keeps no decision ids: one is made of the time of the question and, for its random part, of a keyed hash of caller
// and id, so that it can be made again.
type repeats struct {
	bodies maphash.Seed
	ids    uint64 // seed
	window time.Duration
	most   int // in one generation of a shard
	shards [shards]repeatShard
}

// repeatShard holds two generations: the younger takes what comes, the older is dropped when it is a window old. So
// each id is remembered for one window at least and two at most, and nothing has to be swept.
type repeatShard struct {
	mu         sync.Mutex
	young, old asked
	_          [40]byte // keeps neighbours out of one cache line
}

func newRepeats(window time.Duration) *repeats {
	return &repeats{bodies: maphash.MakeSeed(), ids: rand.Uint64(), window: window, most: maxAsked / shards}
}

// outcome of remembering a question.
type outcome int

const (
	fresh outcome = iota
	repeated
	conflicting
)

// remember notes a question under its caller and id, and gives the id of its decision: for a repeat that of the first
// time.
func (r *repeats) remember(caller, id string, body []byte, now time.Time) (string, outcome) {
	var room [128]byte
	random := xxh3.Hash128Seed(append(append(append(room[:0], caller...), 0), id...), r.ids)
	q := question{key: max(random.Lo, 1), also: uint16(random.Hi), body: uint16(maphash.Bytes(r.bodies, body))}
	ms, window := now.UnixMilli(), r.window.Milliseconds()
	s := &r.shards[q.key%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	age := ms - s.young.since
	if -window < age && age < 0 {
		// The clock was read before the lock was had, or was set back a little: that is no reason to forget.
		ms, age = s.young.since, 0
	}
	if age >= window || age < 0 || s.young.used >= r.most {
		s.old, s.young = s.young, asked{since: ms}
		if age >= 2*window {
			s.old = asked{}
		}
	}
	set, first := &s.young, s.young.find(&q)
	if first == nil {
		set, first = &s.old, s.old.find(&q)
	}
	switch {
	case first == nil:
		q.at = uint32(ms - s.young.since)
		s.young.add(q)
		return audit.IDOf(ms, random.Hi, random.Lo), fresh
	case first.body != q.body:
		return "", conflicting
	}
	return audit.IDOf(set.since+int64(first.at), random.Hi, random.Lo), repeated
}
