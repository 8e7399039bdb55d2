package keys

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/usher-im/usher/internal/keys/material"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
)

// Find gives the one key that may verify a token whose header names kid (with hasKid) and alg, at now. A key that is
// known is found without a lock, without an allocation and without regard to any network. A kid that is not known may
// wait for one fetch of the issuer's URLs, until ctx ends; where they may not be asked now, it is key_unavailable, or a
// key with that as its Doubt. from is whose token it is, if anybody knows: who has made servers look for keys that are not
// there stands behind others for a while.
func (r *Ring) Find(ctx context.Context, kid string, hasKid bool, alg token.Algorithm, now time.Time, from netip.Prefix) (*Key, *reason.Problem) {
	s := r.snap.Load()
	if hasKid && kid != "" {
		if c := choose(s.named[kid], alg, now); c.settled() {
			return c.key, nil
		}
		return r.named(ctx, wanted{kid: kid, from: from}, alg, now)
	}
	if c := choose(s.fitting[alg], alg, now); c.settled() {
		return c.key, nil
	}
	return r.only(ctx, alg, now)
}

// named finds the key that a token names, or says why there is none.
func (r *Ring) named(ctx context.Context, w wanted, alg token.Algorithm, now time.Time) (*Key, *reason.Problem) {
	kid := w.kid
	known := func() choice {
		s := r.snap.Load()
		c := choose(s.named[kid], alg, now)
		c.unread = s.unread
		return c
	}
	c := known()
	var why error
	if c.open() && !alg.Symmetric() { // no URL brings a secret
		c, why = r.ask(ctx, w, known)
	}
	switch {
	case c.settled():
		return c.key, nil
	case c.rival != nil:
		return nil, notFound("kid %s names two keys that fit %s (%s, %s); give each its own kid", material.Quote(kid), alg, c.key.Source, c.rival.Source)
	case c.unfit != nil && c.unread && why != nil:
		return nil, unavailable("kid %s: %v, and a source that may have another of that name cannot be asked: %v", material.Quote(kid), c.unfit, why)
	case c.unfit != nil:
		return nil, notAllowed("kid %s: %v", material.Quote(kid), c.unfit)
	case why != nil:
		return r.unasked(alg, now, unavailable("kid %s is not known here, and its source cannot be asked: %v", material.Quote(kid), why))
	}
	return r.nameless(kid, alg, now, c.expired)
}

// unasked is for a kid that is not known while its source cannot be asked: the single key without a kid serves then too,
// or an outage of the source, or a flood of made-up kids, would keep out whoever it let in before. But the source might
// have meant another key, so that a signature which is not by this one proves nothing, and doubt is the answer.
func (r *Ring) unasked(alg token.Algorithm, now time.Time, doubt *reason.Problem) (*Key, *reason.Problem) {
	c := choose(r.snap.Load().nameless[alg], alg, now)
	if !c.settled() {
		return nil, doubt
	}
	k := *c.key
	k.Doubt = doubt
	return &k, nil
}

// nameless finds the single key without a kid, which also serves tokens that carry one.
func (r *Ring) nameless(kid string, alg token.Algorithm, now time.Time, expired *Key) (*Key, *reason.Problem) {
	s := r.snap.Load()
	c := choose(s.nameless[alg], alg, now)
	switch {
	case c.settled():
		return c.key, nil
	case expired != nil:
		return nil, notFound("the key with kid %s ended at %s (not_after, %s)", material.Quote(kid), expired.NotAfter.UTC().Format(time.RFC3339), expired.Source)
	case c.rival != nil:
		return nil, notFound("no key has kid %s, and two keys without a kid fit %s (%s, %s); give each its kid", material.Quote(kid), alg, c.key.Source, c.rival.Source)
	case c.expired != nil:
		return nil, notFound("the key without a kid ended at %s (not_after, %s)", c.expired.NotAfter.UTC().Format(time.RFC3339), c.expired.Source)
	case s.onlyNameless(now):
		return nil, notAllowed("no key here serves %s", alg)
	}
	return nil, notFound("no key has kid %s", material.Quote(kid))
}

// only finds the one key that fits a token which names none, or says why there is none.
func (r *Ring) only(ctx context.Context, alg token.Algorithm, now time.Time) (*Key, *reason.Problem) {
	known := func() choice { return choose(r.snap.Load().fitting[alg], alg, now) }
	c := known()
	var why error
	if c.open() && !alg.Symmetric() {
		c, why = r.ask(ctx, wanted{}, known)
	}
	switch {
	case c.settled():
		return c.key, nil
	case c.rival != nil:
		return nil, notFound("the token names no kid, and two keys fit %s (%s, %s); have the issuer name one", alg, c.key.Source, c.rival.Source)
	case why != nil:
		return nil, unavailable("the token names no kid, and the key source cannot be asked: %v", why)
	case c.expired != nil:
		return nil, notFound("the only key that fits %s ended at %s (not_after, %s)", alg, c.expired.NotAfter.UTC().Format(time.RFC3339), c.expired.Source)
	case r.snap.Load().live(now):
		return nil, notAllowed("no key here serves %s", alg)
	}
	return nil, notFound("the token names no kid, and no key here serves a token without one")
}

// ask has the URLs look for what is wanted, and says why one could not be asked, if none of the others had the key. Key
// servers come after sets, unless those take their time: a kid of a set that is not there yet would use up what a key server
// may be asked for.
func (r *Ring) ask(ctx context.Context, w wanted, known func() choice) (choice, error) {
	w.since = time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.pace.wait)
	defer cancel()
	if len(r.sets) > 0 && len(r.sets) < len(r.remotes) {
		first, cancel := context.WithTimeout(ctx, r.pace.wait/2)
		defer cancel()
		if c, _ := r.askAll(first, r.sets, w, known); !c.open() {
			return c, nil
		}
	}
	return r.askAll(ctx, r.remotes, w, known)
}

// askAll asks sources at once, and waits for what is under way until known finds something.
func (r *Ring) askAll(ctx context.Context, sources []remote, w wanted, known func() choice) (_ choice, why error) {
	demands := make([]demand, len(sources))
	for i, s := range sources {
		demands[i] = s.demand(w)
	}
	for i, s := range sources {
		for d := demands[i]; ; d = s.landed(d.flight, w) {
			if d.why != nil {
				why = d.why
			}
			if d.flight == nil {
				break
			}
			if c, err := r.wait(ctx, d.flight, known); err != nil || !c.open() {
				return c, err
			}
		}
	}
	return known(), why
}

// wait returns what is known when f has ended, or as soon as any source has brought what known looks for: one that
// hangs does not hold up what another has.
func (r *Ring) wait(ctx context.Context, f *flight, known func() choice) (choice, error) {
	for {
		s := r.snap.Load()
		if c := known(); !c.open() {
			return c, nil
		}
		select {
		case <-f.done:
			return known(), nil
		case <-s.replaced:
		case <-ctx.Done():
			return known(), errSlow
		}
	}
}

// Settle waits until every URL that can be asked without a kid has answered or failed once, or ctx ends: for as long as a
// fetch may take, since no token waits. Nothing needs it to be called; it is for those who want to show what there is.
func (r *Ring) Settle(ctx context.Context) {
	var first []*flight // of all before it waits for one: else those that failed meanwhile would be asked once more
	for _, s := range r.remotes {
		if d := s.demand(wanted{}); d.flight != nil {
			first = append(first, d.flight)
		}
	}
	for _, f := range first {
		select {
		case <-f.done:
		case <-ctx.Done():
			return
		}
	}
}

func notFound(format string, args ...any) *reason.Problem {
	return &reason.Problem{Code: reason.KeyNotFound, Detail: fmt.Sprintf(format, args...)}
}

func notAllowed(format string, args ...any) *reason.Problem {
	return &reason.Problem{Code: reason.AlgorithmNotAllowed, Detail: fmt.Sprintf(format, args...)}
}

func unavailable(format string, args ...any) *reason.Problem {
	return &reason.Problem{Code: reason.KeyUnavailable, Detail: fmt.Sprintf(format, args...)}
}
