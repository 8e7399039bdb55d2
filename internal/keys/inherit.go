package keys

import "time"

// Reading the config again must not lose the keys of a server that is down at that moment: a URL source that is in the
// new config as it was in the old one goes on with what its predecessor knows. The first flight of the new one is
// booked all the same, so that a reload also asks anew.

// like tells whether both follow the same thing.
func (f followed) like(other followed) bool {
	return f.kind == other.kind && f.url.String() == other.url.String()
}

// inherit takes over from the first of rings that follows the same URL.
func (s *set) inherit(rings []*Ring) {
	for _, r := range rings {
		for _, old := range r.remotes {
			if old, ok := old.(*set); ok && s.like(old.followed) {
				s.succeed(old)
				return
			}
		}
	}
}

func (s *set) succeed(old *set) {
	old.mu.Lock()
	defer old.mu.Unlock()
	s.keys = renewed(old.keys, s.followed)
	s.etag, s.left, s.err, s.failures = old.etag, old.left, old.err, old.failures
	s.since, s.shown = old.since, old.shown
	s.limiter = old.limiter.copy()
	s.absent = old.absent.copy()
}

// inherit takes over from the first of rings that follows the same server.
func (s *asap) inherit(rings []*Ring) {
	for _, r := range rings {
		for _, old := range r.remotes {
			if old, ok := old.(*asap); ok && s.like(old.followed) {
				s.succeed(old)
				return
			}
		}
	}
}

func (s *asap) succeed(old *asap) {
	old.mu.Lock()
	defer old.mu.Unlock()
	for kid, k := range old.keys {
		k := *k
		k.key = renewed([]*Key{k.key}, s.followed)[0]
		k.next = time.Time{} // a reload asks anew
		s.keys[kid] = &k
	}
	s.err = old.err
	s.limiter = old.limiter.copy()
	s.absent = old.absent.copy()
}

// renewed is keys with what the new config says of them.
func renewed(keys []*Key, f followed) []*Key {
	if keys == nil {
		return nil
	}
	next := make([]*Key, len(keys))
	for i, k := range keys {
		k := *k
		k.NotAfter = f.notAfter
		next[i] = &k
	}
	return next
}
