package keys

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/usher-im/usher/internal/keys/fetch"
	"github.com/usher-im/usher/internal/keys/material"
	"github.com/usher-im/usher/internal/token"
)

// asap is a key server that gives one PEM public key a kid (Atlassian's ASAP, as Jitsi's modules use it). A key is
// fetched when a token first names it, and is then followed like a set: asked for again when its time is over, gone
// when the server says so. Upstream keeps such keys for ever and asks anew for every kid that it does not know.
//
// Two goroutines: answer fetches for tokens that wait, one at a time; follow keeps known keys fresh. A server that
// hangs on one of them does not hold up the other.
type asap struct {
	followed
	ring *Ring

	flights
	keys     map[string]*followedKey
	wake     chan struct{} // a new key is to be followed
	err      error
	failures int       // of follow, in a row
	pause    time.Time // until when follow leaves the server alone after a failure
}

// followedKey is one key with what is known of its freshness.
type followedKey struct {
	key   *Key
	etag  string
	since time.Time // when the server last confirmed it, by the machine's clock
	shown time.Time // the same by the ring's
	next  time.Time
}

// maxFollowed bounds the keys of one server. Only keys that exist count, so no stranger fills it.
const maxFollowed = 4096

func newASAP(r *Ring, f followed, predecessors []*Ring) *asap {
	s := &asap{followed: f, ring: r, flights: newFlights(r.pace), keys: make(map[string]*followedKey), wake: make(chan struct{}, 1)}
	if old, ok := predecessor[*asap](predecessors, f); ok {
		s.succeed(old)
	}
	return s
}

// address is where the key kid is. The kid itself is no part of it, so that none can lead elsewhere.
func (s *asap) address(kid string) *url.URL {
	sum := sha256.Sum256([]byte(kid))
	return s.url.JoinPath(hex.EncodeToString(sum[:]) + ".pem")
}

func (s *asap) current() []*Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]*Key, 0, len(s.keys))
	for _, k := range s.keys {
		keys = append(keys, k.key)
	}
	return keys
}

func (s *asap) list(now time.Time) []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	about := Info{Where: s.where, Source: s.label, LastError: lastError(s.err, nil)}
	if len(s.keys) == 0 {
		return infos(nil, about, now)
	}
	var list []Info
	for _, k := range s.keys {
		about.FetchedAt = k.shown
		list = append(list, infos([]*Key{k.key}, about, now)...)
	}
	slices.SortFunc(list, func(a, b Info) int { return cmp.Compare(a.Kid, b.Kid) })
	return list
}

// defaults: what a kid will bring is not known before it is asked for, so it may be a key of any type.
func (s *asap) defaults() []token.Algorithm {
	return []token.Algorithm{token.RS256, token.ES256, token.ES384, token.ES512, token.EdDSA}
}

func (s *asap) demand(w wanted) demand {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if w.kid == "" || s.absent.has(w.kid, now) {
		return demand{absent: true}
	}
	return s.board(w, w, now, errHeld)
}

// landed: a flight for another kid says nothing of this one, so it is this one's turn to ask.
func (s *asap) landed(f *flight, w wanted) demand {
	switch {
	case errors.Is(f.err, errClosed):
		return demand{why: errClosed}
	case f.kid != w.kid:
		return s.demand(w)
	case errors.Is(f.err, fetch.ErrNotFound), f.err == nil:
		return demand{absent: true}
	}
	return demand{why: f.err}
}

func (s *asap) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { s.answer(ctx) })
	both.Go(func() { s.follow(ctx) })
	both.Wait()
}

// answer does the flights that tokens ask for.
func (s *asap) answer(ctx context.Context) {
	defer s.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		}
		s.mu.Lock()
		f := s.flight
		s.mu.Unlock()
		answer, key, err := s.get(ctx, f.kid, "")
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			s.keep(f.kid, key, answer)
			s.ring.rebuild()
		}
		s.mu.Lock()
		s.note(f.wanted, err)
		s.flight = nil
		s.mu.Unlock()
		f.land(err)
	}
}

// note keeps what a flight for a token taught. A kid that is found was no flood.
func (s *asap) note(w wanted, err error) {
	now := time.Now()
	switch {
	case err == nil:
		s.limiter.forgive()
	case errors.Is(err, fetch.ErrNotFound):
		s.absent.add(w.kid, now, now.Add(s.ring.pace.absentFor))
		s.limiter.missed(w.from, now)
		s.err = nil
	default: // also what some servers say of a key that they do not have: 403
		s.limiter.missed(w.from, now)
		s.fail(err)
	}
}

// fail is logged once for as long as it stays the same.
func (s *asap) fail(err error) {
	if s.err == nil || s.err.Error() != err.Error() {
		s.ring.log.Warn("A key server fails; the keys it gave go on serving", "source", s.label, "config", s.where, "keys", len(s.keys), "error", err)
	}
	s.err = err
}

// get asks for kid; with an etag, the answer may be that nothing changed, and there is no key.
func (s *asap) get(ctx context.Context, kid, etag string) (fetch.Answer, *Key, error) {
	answer, err := s.ring.client.Get(ctx, s.address(kid), etag)
	if err != nil || answer.NotModified {
		return answer, nil, err
	}
	m, err := material.PEM(answer.Body, "")
	if err != nil {
		return answer, nil, err
	}
	m.Kid = kid
	key := s.adopt(m)
	key.onDemand = true
	return answer, key, nil
}

func (s *asap) keep(kid string, key *Key, a fetch.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.keys[kid]; !known && len(s.keys) >= maxFollowed {
		s.evict()
	}
	s.keys[kid] = &followedKey{key: key}
	s.err = nil // before the key shows: who finds it would be told of an error that is over
	s.confirm(s.keys[kid], a)
	nudge(s.wake)
}

// evict drops the key that has gone unconfirmed for longest.
func (s *asap) evict() {
	var oldest string
	for kid, k := range s.keys {
		if oldest == "" || k.since.Before(s.keys[oldest].since) {
			oldest = kid
		}
	}
	delete(s.keys, oldest)
}

func (s *asap) confirm(k *followedKey, a fetch.Answer) {
	if a.ETag != "" || !a.NotModified {
		k.etag = a.ETag
	}
	k.since, k.shown = time.Now(), s.ring.now()
	k.next = k.since.Add(s.fresh(s.ring.pace, a))
}

// nudge wakes the reader of c, if it has not been woken already.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
