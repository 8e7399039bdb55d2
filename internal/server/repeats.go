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
	// ways is how many questions share a bucket: two cache lines.
	ways = 4
	// maxBuckets bounds a shard, and with it the whole to 8 MiB: some 150,000 questions a minute. Where more come, ids are
	// forgotten sooner; the shim asks again within two seconds or never.
	maxBuckets = 1024
)

// repeats remembers the ids of questions for a while, so that a question asked again over another connection stays one
// decision. A true repeat has the same body; the same id with another body is a mistake of the caller.
type repeats struct {
	seed   maphash.Seed
	salt   uint64 // so that nobody can choose ids that crowd one bucket
	window time.Duration
	most   int // maxBuckets
	shards [shards]repeatShard
}

type repeatShard struct {
	mu      sync.Mutex
	buckets [][ways]asked // a power of two of them
	_       [32]byte      // keeps neighbours out of one cache line
}

// asked is a question that was asked. Its decision tells when: nothing has to be swept. It holds no pointer, so that the
// collector passes over the whole memory.
type asked struct {
	key, body uint64 // of its caller and id, and of its body; a key of 0: nothing here
	decision  ulid.ULID
}

func newRepeats(window time.Duration) *repeats {
	return &repeats{seed: maphash.MakeSeed(), salt: rand.Uint64(), window: window, most: maxBuckets}
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
	name := xxh3.Hash128Seed(append(append(append(room[:0], caller...), 0), id...), r.salt)
	this := asked{key: name.Hi | 1, body: maphash.Bytes(r.seed, body), decision: ulid.MustParse(decisionID)} // it was just made
	s := &r.shards[name.Lo%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.take(&this, r.most, r.window.Milliseconds(), now.UnixMilli())
	switch {
	case first == this:
		return decisionID, fresh
	case first.body != this.body:
		return "", conflicting
	}
	return first.decision.String(), repeated
}

// take gives what is remembered under the key of a, or remembers a.
func (s *repeatShard) take(a *asked, most int, window, now int64) asked {
	if s.buckets == nil {
		s.buckets = make([][ways]asked, 4)
	}
	for {
		b := s.bucket(a.key)
		place := 0
		for n := range b {
			if b[n].key == a.key && b[n].lasts(window, now) {
				return b[n]
			}
			if b[n].decision.Compare(b[place].decision) < 0 { // the oldest, or an empty one
				place = n
			}
		}
		if !b[place].lasts(window, now) || len(s.buckets) >= most {
			b[place] = *a
			return *a
		}
		s.grow(window, now)
	}
}

// lasts tells whether a question is remembered still; no longer, too, if the clock was set back for longer than that.
func (a *asked) lasts(window, now int64) bool {
	age := now - int64(a.decision.Time())
	return -window < age && age < window
}

func (s *repeatShard) bucket(key uint64) *[ways]asked {
	return &s.buckets[(key>>1)&uint64(len(s.buckets)-1)]
}

// grow doubles the buckets. Each one's questions go into two, so that there is room for all.
func (s *repeatShard) grow(window, now int64) {
	old := s.buckets
	s.buckets = make([][ways]asked, 2*len(old))
	for i := range old {
		for _, a := range old[i] {
			if !a.lasts(window, now) {
				continue
			}
			b := s.bucket(a.key)
			for n := range b {
				if b[n].key == 0 {
					b[n] = a
					break
				}
			}
		}
	}
}
