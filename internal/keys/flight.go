package keys

import "errors"

// flight is one fetch that is under way. Whoever wants its outcome waits for done; err is set before that.
type flight struct {
	kid     string // what a key server is asked for; empty for a set
	done    chan struct{}
	err     error
	waiting int // guarded by the source's lock
}

// maxWaiting bounds those who wait for one fetch: with a server that hangs, and a flood, they would pile up.
const maxWaiting = 256

func newFlight(kid string) *flight { return &flight{kid: kid, done: make(chan struct{})} }

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
