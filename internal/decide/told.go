package decide

import (
	"sync"

	"github.com/usher-im/usher/internal/policy"
	"github.com/usher-im/usher/internal/revocation"
)

// Given is what an allow gives for showing a token, beside what is proven of it. It goes into the answer and is not kept
// by itself: the collector would walk over thousands of them for nothing.
type Given struct {
	// Grant is the handle that joins are asked with.
	Grant []byte
	// Features are what the session may do; HasFeatures tells none at all from nothing said about them.
	Features    []policy.Feature
	HasFeatures bool
	// RevocationKeys are the opaque names under which the feed would call for this session.
	RevocationKeys []revocation.Name
}

// givens are used again and again: each is needed for the moment of one Encode.
var givens = sync.Pool{New: func() any { return new(Given) }}

// letGo empties g but for its memory.
func (g *Given) letGo() {
	clear(g.Features) // their names lie in a token
	g.Grant, g.Features, g.RevocationKeys = g.Grant[:0], g.Features[:0], g.RevocationKeys[:0]
	givens.Put(g)
}

// Form is one of the ways in which an allow is written; what each is, Options.Encode knows.
type Form uint8

// forms is how many there are.
const forms = 2

// Told is what an allow says of a proven token.
type Told struct {
	// Full and Short are what Options.Encode made of it: all of it, and what a join needs.
	Full, Short []byte
	// Notes say which features were counted as false although the token has something else there.
	Notes []string
}

// Tell makes what an allow says of p when it is first said, and keeps it: nothing is made for a token that is turned
// away, least of all a grant.
func (p *Proven) Tell(form Form) *Told {
	if t := p.told[form].Load(); t != nil {
		return t
	}
	g, t := givens.Get().(*Given), new(Told)
	defer g.letGo()
	g.Features, g.HasFeatures, t.Notes = policy.Features(g.Features, p.Claims.Context.Features, p.issuer.features)
	g.Grant = p.door.proven.appendGrant(g.Grant, p.name)
	g.RevocationKeys = p.door.options.Revocations.FeedKeys(g.RevocationKeys, &p.marks)
	t.Full, t.Short = p.door.options.Encode(p, g, form)
	if p.told[form].CompareAndSwap(nil, t) {
		return t
	}
	return p.told[form].Load()
}

// Notes are those of what was told of p.
func (p *Proven) Notes() []string {
	for form := range p.told {
		if t := p.told[form].Load(); t != nil {
			return t.Notes
		}
	}
	return nil
}

// Grant is the handle that joins are asked with. It is the same each time.
func (p *Proven) Grant() string { return string(p.door.proven.appendGrant(nil, p.name)) }

// Told is the part of an allow's answer that comes from the token: all of it where the token was shown, and what a join
// needs where it comes with the grant. Nothing for guests, and for whatever is no allow.
func (v *Verdict) Told(form Form) []byte {
	switch {
	case v.Proven == nil || !v.Allow():
		return nil
	case v.Full:
		return v.Proven.Tell(form).Full
	}
	return v.Proven.Tell(form).Short
}
