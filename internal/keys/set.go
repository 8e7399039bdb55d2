package keys

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/usher-im/usher/internal/keys/fetch"
	"github.com/usher-im/usher/internal/keys/material"
	"github.com/usher-im/usher/internal/token"
)

// set is a URL that gives several keys at once: a JSON Web Key Set, or a map of certificates. One goroutine does all
// its fetches, one at a time; whoever needs one joins the flight that is under way.
type set struct {
	followed
	ring   *Ring
	decode decoder

	flights
	keys     []*Key
	unshown  bool // the keys have changed, and the ring does not show them yet
	etag     string
	left     []error
	err      error
	failures int       // in a row
	since    time.Time // when the server last confirmed the keys, by the machine's clock
	shown    time.Time // the same by the ring's
	next     time.Time
	heard    time.Time // when the server was asked what it answered last
}

// newSet makes a source whose first flight is booked already: a token that comes before the first answer waits for it.
func newSet(r *Ring, f followed, decode decoder, predecessors []*Ring) *set {
	s := &set{followed: f, ring: r, decode: decode, flights: newFlights(r.pace)}
	if old, ok := predecessor[*set](predecessors, f); ok {
		s.succeed(old)
	}
	s.book(time.Now())
	return s
}

func (s *set) current() []*Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}

func (s *set) list(now time.Time) []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return infos(s.keys, Info{Where: s.where, Source: s.label, FetchedAt: s.shown, LastError: lastError(s.err, s.left)}, now)
}

// defaults is empty once the keys are known, for then they speak for themselves. Secrets never come from a URL.
func (s *set) defaults() []token.Algorithm {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys != nil {
		return nil
	}
	return publicAlgorithms()
}

func publicAlgorithms() []token.Algorithm {
	var algs []token.Algorithm
	for _, alg := range token.Algorithms() {
		if !alg.Symmetric() {
			algs = append(algs, alg)
		}
	}
	return algs
}

// demand: without a kid only keys that have never been there are worth a wait. With one, an answer that was asked for after
// the token came has said all: who slept through it must not be held back as if nobody had asked for it.
func (s *set) demand(w wanted) demand {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if w.kid == "" && s.keys != nil && !s.unshown || w.kid != "" && (s.heard.After(w.since) || s.absent.has(w.kid, now)) {
		return demand{absent: true}
	}
	return s.board(w, wanted{}, now, s.silence())
}

// silence says why the source is not asked now: it fails, or it has just answered.
func (s *set) silence() error {
	if s.err != nil {
		return s.err
	}
	return errHeld
}

// landed: if the fetch went well and the kid is still not known, the source does not have it, or got it after it was asked:
// a token that came later than that has it asked again.
func (s *set) landed(f *flight, w wanted) demand {
	switch {
	case f.err != nil:
		return demand{why: f.err}
	case w.kid == "":
		return demand{absent: true}
	case f.sent.Before(w.since):
		return s.demand(w)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.absent.add(w.kid, now, now.Add(s.ring.pace.absentFor))
	return demand{absent: true}
}

// book starts a flight of the source's own accord.
func (s *set) book(now time.Time) {
	s.flight = newFlight(wanted{})
	s.limiter.started(now)
}

func (s *set) run(ctx context.Context) {
	defer s.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		case <-timer.C:
		}
		if f := s.due(); f != nil {
			s.fetch(ctx, f)
		}
		s.expire()
		timer.Reset(s.wait())
	}
}

// due is the flight that is booked, or one of the source's own if it is time and the minute has room for it.
func (s *set) due() *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.flight == nil && !now.Before(s.next) && s.limiter.full(now) == 0 {
		s.book(now)
	}
	return s.flight
}

// fetch does the flight. Whoever waits for it is told when Find can see what it brought.
func (s *set) fetch(ctx context.Context, f *flight) {
	s.mu.Lock()
	f.sent = time.Now()
	etag := s.etag
	s.mu.Unlock()
	answer, err := s.ring.client.Get(ctx, s.url, etag)
	if ctx.Err() != nil {
		return // close lands it
	}
	changed, err := s.take(answer, err)
	if changed {
		s.ring.rebuild()
	}
	s.mu.Lock()
	s.flight, s.unshown = nil, false
	if err == nil {
		s.heard = f.sent
	}
	s.mu.Unlock()
	f.land(err)
}

// take judges an answer. A set without any usable key is a failure: it never replaces a good one.
func (s *set) take(a fetch.Answer, err error) (changed bool, _ error) {
	var decoded []material.Key
	var left []error
	if err == nil && !a.NotModified {
		decoded, left, err = s.decode(a.Body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.fail(err)
		return false, err
	}
	s.confirm(a)
	if a.NotModified {
		return false, nil
	}
	slices.SortStableFunc(decoded, byName)
	before := s.keys
	s.keys, s.etag, s.left = adoptAll(decoded, s.adopt), a.ETag, left
	if sameKeys(before, s.keys) {
		return false, nil
	}
	s.unshown = true
	s.ring.log.Info("Keys were fetched", "source", s.label, "config", s.where, "keys", len(s.keys), "left_out", lastError(nil, left))
	return true, nil
}

// byName brings the keys of a set into one order. Some servers give them in another each time, which says nothing, but
// would void all that was proven by them.
func byName(a, b material.Key) int {
	return cmp.Or(cmp.Compare(a.Kid, b.Kid), cmp.Compare(a.Thumbprint, b.Thumbprint), cmp.Compare(a.Alg, b.Alg))
}

func (s *set) confirm(a fetch.Answer) {
	if s.err != nil {
		s.ring.log.Info("A key source answers again", "source", s.label, "config", s.where)
	}
	s.err, s.failures = nil, 0
	s.since, s.shown = time.Now(), s.ring.now()
	s.next = s.since.Add(s.fresh(s.ring.pace, a))
}

// fail notes why a fetch brought nothing; it is logged once for as long as it stays the same.
func (s *set) fail(err error) {
	if s.err == nil || s.err.Error() != err.Error() {
		s.ring.log.Warn("A key source fails; what it gave last goes on serving", "source", s.label, "config", s.where, "keys", len(s.keys), "error", err)
	}
	s.err = err
	s.failures++
	s.next = time.Now().Add(s.ring.pace.backoff(s.failures))
}

// expire lets the keys go that nobody has confirmed for maxStale.
func (s *set) expire() {
	s.mu.Lock()
	stale := s.keys != nil && time.Since(s.since) >= s.maxStale
	if stale {
		s.ring.log.Error("A key source has been silent for longer than max_stale; its keys serve no more", "source", s.label, "config", s.where, "error", s.err)
		s.keys, s.etag, s.left = nil, "", nil
	}
	s.mu.Unlock()
	if stale {
		s.ring.rebuild()
	}
}

// wait is how long run has nothing to do of its own accord.
func (s *set) wait() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	d := max(s.next.Sub(now), s.limiter.full(now))
	if s.keys != nil {
		d = min(d, s.maxStale-now.Sub(s.since))
	}
	return max(0, d)
}
