package keys

import (
	"slices"
	"time"

	"github.com/usher-im/usher/internal/token"
)

// snapshot is all keys of a ring at one moment. It never changes: Find reads it without a lock.
type snapshot struct {
	keys     []*Key
	named    map[string][]*Key          // by kid; several where sources or key types share one
	nameless map[token.Algorithm][]*Key // keys without a kid, by the algorithms that they serve
	fitting  map[token.Algorithm][]*Key // keys that may serve a token without a kid
	defaults []token.Algorithm
	unread   bool          // there is a set whose keys are not known yet
	replaced chan struct{} // closed when another snapshot takes its place
}

// newSnapshot indexes keys. wanted are default algorithms beside those of the keys.
func newSnapshot(keys []*Key, wanted map[token.Algorithm]bool) *snapshot {
	s := &snapshot{
		keys:     shareNames(keys),
		named:    make(map[string][]*Key),
		nameless: make(map[token.Algorithm][]*Key),
		fitting:  make(map[token.Algorithm][]*Key),
		replaced: make(chan struct{}),
	}
	for _, k := range s.keys {
		if k.Kid != "" {
			s.named[k.Kid] = append(s.named[k.Kid], k)
		}
		if !k.onDemand {
			s.index(k)
		}
	}
	s.defaults = defaults(s.keys, wanted)
	return s
}

func (s *snapshot) index(k *Key) {
	for _, alg := range token.Algorithms() {
		if k.fits(alg) != nil {
			continue
		}
		s.fitting[alg] = append(s.fitting[alg], k)
		if k.Kid == "" {
			s.nameless[alg] = append(s.nameless[alg], k)
		}
	}
}

// shareNames gives every key its ID and names among the others.
func shareNames(keys []*Key) []*Key {
	names := namesOf(keys)
	shared := make([]*Key, len(keys))
	for i, k := range keys {
		shared[i] = k
		id, all := sharedID(k, keys), names[materialOf(k)]
		if slices.ContainsFunc(all, func(name string) bool { return name != k.ID }) || id != k.ID {
			renamed := *k
			renamed.ID, renamed.Names = id, all
			shared[i] = &renamed
		}
	}
	return shared
}

// namesOf lists the names of each material.
func namesOf(keys []*Key) map[any][]string {
	names := make(map[any][]string)
	for _, k := range keys {
		if m := materialOf(k); !k.onDemand && !slices.Contains(names[m], k.ID) {
			names[m] = append(names[m], k.ID)
		}
	}
	return names
}

// materialOf gives equal values for keys of the same material.
func materialOf(k *Key) any {
	type thumbprint string
	if s, ok := k.Material.([]byte); ok {
		return string(s)
	}
	return thumbprint(k.thumbprint)
}

// sharedID is the ID of k; for a key without a kid, that of the entry that has the same key with one. Otherwise a
// thief of that key would get past a revocation of its kid by leaving the kid out of his token.
func sharedID(k *Key, keys []*Key) string {
	if k.Kid != "" {
		return k.ID
	}
	for _, other := range keys {
		if other.Kid != "" && sameMaterial(k, other) {
			return other.ID
		}
	}
	return k.ID
}

func defaults(keys []*Key, wanted map[token.Algorithm]bool) []token.Algorithm {
	for _, k := range keys {
		if k.Alg != "" {
			wanted[k.Alg] = true
			continue
		}
		for _, alg := range token.DefaultAlgorithms(k.Material) {
			wanted[alg] = true
		}
	}
	var algs []token.Algorithm
	for _, alg := range token.Algorithms() {
		if wanted[alg] {
			algs = append(algs, alg)
		}
	}
	return algs
}

// choice is what a choice among candidates came to: the key, or why there is none.
type choice struct {
	key     *Key
	rival   *Key  // a second key, other than key, that fits as well
	expired *Key  // the last candidate that is past its end
	unfit   error // why the last candidate does not serve the algorithm
	unread  bool  // a set that has not been read may hold another candidate
}

// choose looks for the one live key among candidates that serves alg.
func choose(candidates []*Key, alg token.Algorithm, now time.Time) choice {
	var c choice
	for _, k := range candidates {
		if k.expired(now) {
			c.expired = k
			continue
		}
		if err := k.fits(alg); err != nil {
			c.unfit = err
			continue
		}
		if c.key == nil {
			c.key = k
			continue
		}
		if !sameMaterial(c.key, k) {
			c.rival = k
		}
	}
	return c
}

// settled: there is the one key.
func (c choice) settled() bool { return c.key != nil && c.rival == nil }

// open: nothing that is known so far says anything about the token, so another source may.
func (c choice) open() bool { return c.key == nil && (c.unfit == nil || c.unread) }

// onlyNameless tells whether every key that would be tried at now is without a kid, so that naming one changes nothing.
func (s *snapshot) onlyNameless(now time.Time) bool {
	return s.live(now) && len(s.named) == 0
}

// live tells whether any key would be tried at now.
func (s *snapshot) live(now time.Time) bool {
	for _, k := range s.keys {
		if !k.expired(now) && !k.onDemand {
			return true
		}
	}
	return false
}

// sameKeys tells whether two snapshots hold the same keys in the same order.
func sameKeys(a, b []*Key) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !same(a[i], b[i]) {
			return false
		}
	}
	return true
}
