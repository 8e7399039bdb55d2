package keys

import "time"

// Reading the config again must not lose the keys of a server that is down at that moment: a URL source that is in the
// new config as it was in the old one goes on with what its predecessor knows. The first flight of the new one is
// booked all the same, so that a reload also asks anew.

// like tells whether both follow the same thing.
func (f followed) like(other followed) bool {
	return f.kind == other.kind && f.url.String() == other.url.String()
}

// predecessor is the first source of rings that is of the same kind and follows the same.
func predecessor[S interface {
	remote
	like(followed) bool
}](rings []*Ring, f followed) (old S, found bool) {
	for _, r := range rings {
		for _, other := range r.remotes {
			if old, ok := other.(S); ok && old.like(f) {
				return old, true
			}
		}
	}
	return old, false
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
