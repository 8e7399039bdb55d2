package keys

import (
	"context"
	"errors"
	"time"

	"github.com/usher-im/usher/internal/keys/fetch"
)

// follow asks again for each known key when its time is over, one after the other, so that a key that was taken away
// stops working whether or not a token names it meanwhile.
func (s *asap) follow(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		s.expire()
		if kid, etag, due := s.due(); due {
			s.revalidate(ctx, kid, etag)
		}
		timer.Reset(s.wait())
	}
}

// due is the key whose turn it is.
func (s *asap) due() (kid, etag string, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.pause) {
		return "", "", false
	}
	kid, first := s.first()
	if first == nil || now.Before(first.next) {
		return "", "", false
	}
	return kid, first.etag, true
}

// first is the key whose time is over first; nil without keys.
func (s *asap) first() (kid string, first *followedKey) {
	for name, k := range s.keys {
		if first == nil || k.next.Before(first.next) {
			kid, first = name, k
		}
	}
	return kid, first
}

func (s *asap) revalidate(ctx context.Context, kid, etag string) {
	answer, key, err := s.get(ctx, kid, etag)
	if ctx.Err() != nil {
		return
	}
	if s.renew(kid, key, answer, err) {
		s.ring.rebuild()
	}
}

// renew takes over what the server said of a known key: it holds, it is another one now, or it is gone. A failure
// gives the server a rest and leaves the key as it is.
func (s *asap) renew(kid string, key *Key, a fetch.Answer, err error) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[kid]
	if k == nil {
		return false // made room for another one meanwhile
	}
	if errors.Is(err, fetch.ErrNotFound) {
		s.ring.log.Info("A key was taken away at its server", "source", s.label, "config", s.where, "kid", kid)
		delete(s.keys, kid)
		now := time.Now()
		s.absent.add(kid, now, now.Add(s.ring.pace.absentFor))
		return true
	}
	if err != nil {
		s.fail(err)
		s.failures++
		s.pause = time.Now().Add(s.ring.pace.backoff(s.failures))
		k.next = s.pause // others first, when the server is asked again
		return false
	}
	s.err, s.failures = nil, 0
	s.confirm(k, a)
	if a.NotModified || same(k.key, key) {
		return false
	}
	k.key = key
	return true
}

// expire lets the keys go that nobody has confirmed for maxStale.
func (s *asap) expire() {
	s.mu.Lock()
	before := len(s.keys)
	for kid, k := range s.keys {
		if time.Since(k.since) >= s.maxStale {
			delete(s.keys, kid)
		}
	}
	gone := before - len(s.keys)
	if gone > 0 {
		s.ring.log.Error("A key server has been silent for longer than max_stale; keys of it serve no more", "source", s.label, "config", s.where, "gone", gone, "error", s.err)
	}
	s.mu.Unlock()
	if gone > 0 {
		s.ring.rebuild()
	}
}

// wait is how long follow has nothing to do.
func (s *asap) wait() time.Duration {
	const never = time.Hour
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	ask, stale := never, never
	for _, k := range s.keys {
		ask = min(ask, k.next.Sub(now))
		stale = min(stale, s.maxStale-now.Sub(k.since))
	}
	return max(0, min(max(ask, s.pause.Sub(now)), stale))
}
