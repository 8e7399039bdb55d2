package server

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/zeebo/xxh3"
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
type repeats struct {
	seed   maphash.Seed
	window time.Duration
	most   int // in one generation of a shard
	shards [shards]repeatShard
}

// repeatShard holds two generations: the younger takes what comes, the older is dropped when it is a window old. So
// each id is remembered for one window at least and two at most, and nothing has to be swept.
type repeatShard struct {
	mu         sync.Mutex
	young, old asked
	turned     time.Time
	_          [24]byte // keeps neighbours out of one cache line
}

func newRepeats(window time.Duration) *repeats {
	return &repeats{seed: maphash.MakeSeed(), window: window, most: maxAsked / shards}
}

// outcome of remembering a question.
type outcome int

const (
	fresh outcome = iota
	repeated
	conflicting
)

// remember notes a question under its caller and id. For a repeat it gives the decision id of the first time.
func (r *repeats) remember(caller, id string, body []byte, decisionID string, now time.Time) (string, outcome) {
	var room [128]byte
	name := xxh3.Hash128(append(append(append(room[:0], caller...), 0), id...))
	q := question{
		key: max(name.Lo, 1), also: uint32(name.Hi), body: uint32(maphash.Bytes(r.seed, body)),
		decision: ulid.MustParse(decisionID), // it was just made
	}
	s := &r.shards[q.key%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.turned); age >= r.window || age < 0 || s.young.used >= r.most {
		s.old, s.young, s.turned = s.young, newAsked(s.young.used), now
		if age >= 2*r.window {
			s.old = asked{}
		}
	}
	first := s.young.find(&q)
	if first == nil {
		first = s.old.find(&q)
	}
	switch {
	case first == nil:
		s.young.add(q)
		return decisionID, fresh
	case first.body != q.body:
		return "", conflicting
	}
	return first.decision.String(), repeated
}
