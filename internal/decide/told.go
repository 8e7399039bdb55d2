package decide

import "github.com/usher-im/usher/internal/policy"

// Given is what an allow gives for showing a token, beside what is proven of it. It goes into the answer and is not kept
// by itself: the collector would walk over thousands of them for nothing.
type Given struct {
	// Grant is the handle that joins are asked with.
	Grant    string
	Features map[string]bool // nil: no map at all
	// RevocationKeys are the opaque names under which the feed would call for this session.
	RevocationKeys []string
}

// Told is what an allow says of a proven token.
type Told struct {
	// Full and Short are what Options.Encode made of it: all of it, and what a join needs.
	Full, Short []byte
	// Notes say which features were counted as false although the token has something else there.
	Notes []string
}

// Tell makes what an allow says of p when it is first said, and keeps it: nothing is made for a token that is turned
// away, least of all a grant.
func (p *Proven) Tell() *Told {
	if t := p.told.Load(); t != nil {
		return t
	}
	features, notes := policy.Features(p.Claims.Context.Features, p.issuer.features)
	t := &Told{Notes: notes}
	t.Full, t.Short = p.door.options.Encode(p, Given{
		Grant: p.Grant(), Features: features, RevocationKeys: p.door.options.Revocations.FeedKeys(&p.marks),
	})
	if p.told.CompareAndSwap(nil, t) {
		return t
	}
	return p.told.Load()
}

// Grant is the handle that joins are asked with. It is the same each time.
func (p *Proven) Grant() string { return p.door.proven.grantFor(p.name) }

// Told is the part of an allow's answer that comes from the token: all of it where the token was shown, and what a join
// needs where it comes with the grant. Nothing for guests, and for whatever is no allow.
func (v *Verdict) Told() []byte {
	switch {
	case v.Proven == nil || !v.Allow():
		return nil
	case v.Full:
		return v.Proven.Tell().Full
	}
	return v.Proven.Tell().Short
}
