package keys

import (
	"errors"
	"net/netip"
	"sync"
	"time"
)

// wanted is what a token needs that is not known yet.
type wanted struct {
	kid   string       // empty: whatever a source has
	from  netip.Prefix // whose token it is; the zero value: nobody knows
	since time.Time
}

// flight is one fetch that is under way. Whoever wants its outcome waits for done; err is set before that.
type flight struct {
	wanted  // what a key server is asked for; nothing for a set
	done    chan struct{}
	err     error
	waiting int       // guarded by the source's lock
	sent    time.Time // what a set did not have then it may have had a moment later
}

// flights is the side of a source that tokens reach: the one fetch for them that may be under way, who may have one made,
// and which kids are not there. Its lock guards the rest of the source too.
type flights struct {
	kick chan struct{} // a flight was booked that whoever makes them does not know of yet

	mu      sync.Mutex
	limiter limiter
	absent  lately[string]
	flight  *flight
	closed  bool
}

func newFlights(p pace) flights {
	return flights{kick: make(chan struct{}, 1), limiter: newLimiter(p), absent: newLately[string]()}
}

// board has w wait for the flight that is under way, or for one that asks for what; why is the answer where none may be
// made now. The caller has mu.
func (f *flights) board(w, what wanted, now time.Time, why error) demand {
	switch {
	case f.closed:
		return demand{why: errClosed}
	case f.flight == nil && !f.limiter.demand(w.from, now):
		return demand{why: why}
	case f.flight == nil:
		f.flight = newFlight(what)
		nudge(f.kick)
	}
	return f.flight.join()
}

// close tells whoever still waits that there will be no answer.
func (f *flights) close() {
	f.mu.Lock()
	last := f.flight
	f.flight, f.closed = nil, true
	f.mu.Unlock()
	if last != nil {
		last.land(errClosed)
	}
}

// maxWaiting bounds those who wait for one fetch: with a server that hangs, and a flood, they would pile up.
const maxWaiting = 256

func newFlight(w wanted) *flight { return &flight{wanted: w, done: make(chan struct{})} }

// land tells everybody how it ended.
func (f *flight) land(err error) {
	f.err = err
	close(f.done)
}

// demand is what a source says to a kid that is not known: wait for this flight; or there is no such key; or why that
// cannot be said now.
type demand struct {
	flight *flight
	absent bool
	why    error
}

var (
	errHeld    = errors.New("it was asked a moment ago, and is not asked for every unknown kid at once; try again in a few seconds")
	errSlow    = errors.New("it does not answer in time")
	errCrowded = errors.New("too many tokens wait for its answer")
	errClosed  = errors.New("the verifier is stopping, or its config was reloaded")
)

// join counts one more who waits.
func (f *flight) join() demand {
	if f.waiting >= maxWaiting {
		return demand{why: errCrowded}
	}
	f.waiting++
	return demand{flight: f}
}
