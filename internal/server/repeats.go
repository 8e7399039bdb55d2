package server

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/zeebo/xxh3"
)

const (
	// shards spreads the memory of ids over as many locks, so that questions do not wait for each other.
	shards = 64
	// maxAsked bounds what a generation of a shard remembers: some 200,000 questions a minute in all. Where more come,
	// ids are forgotten sooner; the shim asks again within two seconds or never.
	maxAsked = 3072
)

// repeats remembers the ids of questions for a while, so that a question asked again over another connection stays one
// decision. A true repeat has the same body; the same id with another body is a mistake of the caller.
type repeats struct {
	seed   maphash.Seed
	salt   uint64 // so that nobody can choose ids that crowd one place
	window time.Duration
	most   int // maxAsked
	shards [shards]repeatShard
}

// repeatShard holds two generations: the younger takes what comes, the older is dropped when it is a window old. So
// each id is remembered for one window at least and two at most, and nothing has to be swept.
type repeatShard struct {
	mu         sync.Mutex
	young, old askedTable
	turned     time.Time
	_          [40]byte // keeps neighbours out of one cache line
}

func newRepeats(window time.Duration) *repeats {
	return &repeats{seed: maphash.MakeSeed(), salt: rand.Uint64(), window: window, most: maxAsked}
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
	key := xxh3.Hash128Seed(append(append(append(room[:0], caller...), 0), id...), r.salt)
	hash := maphash.Bytes(r.seed, body)
	s := &r.shards[key.Lo%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.turned); age >= r.window || age < 0 || s.young.used >= r.most {
		s.young, s.old, s.turned = askedTable{}, s.young, now
		if age >= 2*r.window {
			s.old = askedTable{}
		}
	}
	first := s.old.find(key)
	if first == nil {
		first = s.young.take(key)
	}
	switch {
	case first.key == xxh3.Uint128{}:
		*first = asked{key: key, body: hash, decision: ulid.MustParse(decisionID)} // it was just made
		return decisionID, fresh
	case first.body != hash:
		return "", conflicting
	}
	return first.decision.String(), repeated
}

// asked holds no pointer, so that the collector passes over the whole memory.
type asked struct {
	key      xxh3.Uint128 // zero: nothing here
	body     uint64
	decision ulid.ULID
}

// askedTable is a hash table with open addressing. Its keys are hashes, so their bits are their places. Against a map it
// finds a question's place with one look where a map needs two, one to find and one to write.
type askedTable struct {
	slots []asked // a power of two of them; at most three quarters are used
	used  int
}

// find gives the place of a key, nil where it is not there.
func (t *askedTable) find(key xxh3.Uint128) *asked {
	if t.used == 0 {
		return nil
	}
	if a := t.place(key); a.key == key {
		return a
	}
	return nil
}

// take gives the place of a key, or an empty one that the caller fills.
func (t *askedTable) take(key xxh3.Uint128) *asked {
	if 4*t.used >= 3*len(t.slots) {
		t.grow()
	}
	a := t.place(key)
	if a.key != key {
		t.used++
	}
	return a
}

func (t *askedTable) place(key xxh3.Uint128) *asked {
	mask := uint64(len(t.slots) - 1)
	for at := key.Hi & mask; ; at = (at + 1) & mask {
		if a := &t.slots[at]; a.key == key || a.key == (xxh3.Uint128{}) {
			return a
		}
	}
}

func (t *askedTable) grow() {
	old := t.slots
	t.slots = make([]asked, max(16, 2*len(old)))
	for _, a := range old {
		if a.key != (xxh3.Uint128{}) {
			*t.place(a.key) = a
		}
	}
}
