package keys

import (
	"net/netip"
	"time"
)

// limiter holds the fetches of one source to the ring's pace, so that a flood of made-up kids stays a trickle there.
// Its owner's lock guards it.
type limiter struct {
	pace
	demanded time.Time            // when an unknown kid last caused a fetch
	starts   []time.Time          // the latest fetches, the oldest first; at most perMinute
	vain     lately[netip.Prefix] // who had a fetch made that found nothing
}

func newLimiter(p pace) limiter { return limiter{pace: p, vain: newLately[netip.Prefix]()} }

// demand tells whether an unknown kid may cause a fetch at now, and counts it if so. Whoever has had one in vain waits
// twice as long as others do: with kids made up faster than others ask for theirs, one address would be first each time,
// and keep out for as long as it liked whoever has a good one.
func (l *limiter) demand(from netip.Prefix, now time.Time) bool {
	floor := l.floor
	if from.IsValid() && l.vain.has(from, now) {
		floor *= 2
	}
	if !l.demanded.IsZero() && now.Sub(l.demanded) < floor || l.full(now) > 0 {
		return false
	}
	l.demanded = now
	l.started(now)
	return true
}

// missed notes for whom a fetch was made that found nothing.
func (l *limiter) missed(from netip.Prefix, now time.Time) { l.vain.add(from, now, now.Add(l.vainFor)) }

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
	c.vain = l.vain.copy()
	return c
}
