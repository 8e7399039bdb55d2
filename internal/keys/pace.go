package keys

import (
	"math/rand/v2"
	"time"
)

// pace is how often a ring looks and asks. It is no option: these are the numbers that hold a flood of unknown kids
// to a trickle of requests and still notice a new key before users do.
type pace struct {
	floor     time.Duration // between two fetches for unknown kids, a source
	perMinute int           // fetches of one source in any minute, whatever they are for
	minute    time.Duration
	absentFor time.Duration // how long a kid that a source does not have is not asked for again
	vainFor   time.Duration // how long whoever had a key server asked in vain stands behind others
	timeout   time.Duration // one fetch
	// wait is how long one token may wait for a fetch: less than the 2 s that Prosody's module gives an answer, so that
	// its user is told to try again and the module's connection is not lost.
	wait time.Duration

	minFresh, usualFresh, maxFresh time.Duration // bounds of what Cache-Control may ask for, and what counts without it
	backoffMax                     time.Duration
	maxStale                       time.Duration // where the config names none

	poll   time.Duration // files are looked at anyway, should the system not tell of a change
	settle time.Duration // between a change of a folder and the look at its files: several events are one change
}

var usual = pace{
	floor:      5 * time.Second,
	perMinute:  13,
	minute:     time.Minute,
	absentFor:  time.Minute,
	vainFor:    time.Hour,
	timeout:    5 * time.Second,
	wait:       1200 * time.Millisecond,
	minFresh:   15 * time.Second,
	usualFresh: 5 * time.Minute,
	maxFresh:   time.Hour,
	backoffMax: 5 * time.Minute,
	maxStale:   24 * time.Hour,
	poll:       10 * time.Second,
	settle:     50 * time.Millisecond,
}

// fresh bounds what an answer says of its own life, and takes up to a tenth off so that a fleet does not ask at once.
func (p pace) fresh(d time.Duration, said bool) time.Duration {
	if !said {
		d = p.usualFresh
	}
	d = min(max(d, p.minFresh), p.maxFresh)
	return max(p.minFresh, d-rand.N(d/10+1))
}

// backoff is the wait after the given number of failures in a row: doubled each time, with up to half of it added.
func (p pace) backoff(failures int) time.Duration {
	d := p.floor
	for ; failures > 1 && d < p.backoffMax; failures-- {
		d *= 2
	}
	d = min(d, p.backoffMax)
	return d + rand.N(d/2+1)
}
