package keys

import (
	"hash/maphash"
	"time"
)

// limiter holds the fetches of one source to the ring's pace, so that a flood of made-up kids stays a trickle there.
// Its owner's lock guards it.
type limiter struct {
	pace
	demanded time.Time   // when an unknown kid last caused a fetch
	starts   []time.Time // the latest fetches, the oldest first; at most perMinute
}

// demand tells whether an unknown kid may cause a fetch at now, and counts it if so.
func (l *limiter) demand(now time.Time) bool {
	if !l.demanded.IsZero() && now.Sub(l.demanded) < l.floor || l.full(now) > 0 {
		return false
	}
	l.demanded = now
	l.started(now)
	return true
}

// forgive takes back the last demand: it found a key, so it was no flood.
func (l *limiter) forgive() {
	l.demanded = time.Time{}
	l.starts = l.starts[:max(0, len(l.starts)-1)]
}

// full is how long the source has had enough questions for this minute.
func (l *limiter) full(now time.Time) time.Duration {
	if len(l.starts) < l.perMinute {
		return 0
	}
	return max(0, l.minute-now.Sub(l.starts[0]))
}

func (l *limiter) started(now time.Time) {
	if len(l.starts) >= l.perMinute {
		l.starts = append(l.starts[:0], l.starts[1:]...)
	}
	l.starts = append(l.starts, now)
}

// copy shares nothing with l.
func (l *limiter) copy() limiter {
	c := *l
	c.starts = append([]time.Time(nil), l.starts...)
	return c
}

// absent remembers for a while the kids that a source does not have. It keeps hashes under a seed of its own, and no
// more than maxAbsent, so that strangers can neither fill memory with kids nor aim at one that they want forgotten.
type absent struct {
	seed  maphash.Seed
	until map[uint64]time.Time
}

const maxAbsent = 4096

func newAbsent() absent {
	return absent{seed: maphash.MakeSeed(), until: make(map[uint64]time.Time)}
}

func (a *absent) has(kid string, now time.Time) bool {
	until, ok := a.until[maphash.String(a.seed, kid)]
	return ok && now.Before(until)
}

func (a *absent) add(kid string, now time.Time, until time.Time) {
	if len(a.until) >= maxAbsent {
		a.makeRoom(now)
	}
	a.until[maphash.String(a.seed, kid)] = until
}

// makeRoom drops what is over, and if that is nothing, any half.
func (a *absent) makeRoom(now time.Time) {
	for h, until := range a.until {
		if !now.Before(until) {
			delete(a.until, h)
		}
	}
	for h := range a.until {
		if len(a.until) <= maxAbsent/2 {
			return
		}
		delete(a.until, h)
	}
}
