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
	young, old map[xxh3.Uint128]asked
	turned     time.Time
	_          [24]byte // keeps neighbours out of one cache line
}

// asked holds no pointer, so that the collector passes over the whole memory.
type asked struct {
	body     uint64
	decision ulid.ULID
}

func newRepeats(window time.Duration) *repeats {
	r := &repeats{seed: maphash.MakeSeed(), window: window, most: maxAsked / shards}
	for n := range r.shards {
		r.shards[n].young = map[xxh3.Uint128]asked{}
	}
	return r
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
	key := xxh3.Hash128(append(append(append(room[:0], caller...), 0), id...))
	hash := maphash.Bytes(r.seed, body)
	s := &r.shards[key.Lo%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.turned); age >= r.window || age < 0 || len(s.young) >= r.most {
		s.old, s.young, s.turned = s.young, make(map[xxh3.Uint128]asked, len(s.young)/2), now
		if age >= 2*r.window {
			s.old = nil
		}
	}
	first, known := s.young[key]
	if !known {
		first, known = s.old[key]
	}
	switch {
	case !known:
		s.young[key] = asked{body: hash, decision: ulid.MustParse(decisionID)} // it was just made
		return decisionID, fresh
	case first.body != hash:
		return "", conflicting
	}
	return first.decision.String(), repeated
}
