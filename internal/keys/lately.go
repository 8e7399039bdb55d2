package keys

import (
	"hash/maphash"
	"maps"
	"time"
)

// lately remembers things for a while: the kids that a source does not have, and who asked in vain. It keeps hashes under
// a seed of its own, and no more than maxLately, so that strangers can neither fill memory nor aim at one that they want
// forgotten.
type lately[T comparable] struct {
	seed  maphash.Seed
	until map[uint64]time.Time
}

const maxLately = 4096

func newLately[T comparable]() lately[T] {
	return lately[T]{seed: maphash.MakeSeed(), until: make(map[uint64]time.Time)}
}

func (l *lately[T]) has(what T, now time.Time) bool {
	until, ok := l.until[maphash.Comparable(l.seed, what)]
	return ok && now.Before(until)
}

func (l *lately[T]) add(what T, now time.Time, until time.Time) {
	if len(l.until) >= maxLately {
		l.makeRoom(now)
	}
	l.until[maphash.Comparable(l.seed, what)] = until
}

// makeRoom drops what is over, and if that is nothing, any half.
func (l *lately[T]) makeRoom(now time.Time) {
	for h, until := range l.until {
		if !now.Before(until) {
			delete(l.until, h)
		}
	}
	for h := range l.until {
		if len(l.until) <= maxLately/2 {
			return
		}
		delete(l.until, h)
	}
}

// copy shares nothing with l.
func (l *lately[T]) copy() lately[T] {
	return lately[T]{seed: l.seed, until: maps.Clone(l.until)}
}
