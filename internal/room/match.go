package room

import (
	"fmt"
	"slices"

	"github.com/usher-im/usher/internal/reason"
)

// Wildcard is the claim that names any room, and the subject that names any tenant.
const Wildcard = "*"

// nameDoesNotMatch is the second code that Jitsi's client knows for a room that is not the token's.
const nameDoesNotMatch = "room-name-does-not-match"

// Rules are a profile's rules about rooms (profiles.NAME.rooms).
type Rules struct {
	// VerifyDomain: the token's subject must fit the room's tenant or domain.
	VerifyDomain bool
	// RequireClaim: a token without a room claim opens no room.
	RequireClaim bool
	// AllowCreate: a token may open a room that does not exist yet.
	AllowCreate bool
	// AllowWildcard: "*", and patterns that come to the same, are accepted.
	AllowWildcard bool
	// Patterns says how context.room.regex is read: PatternsLua (also ""), PatternsRE2 or PatternsDeny.
	Patterns string
	// MUCPrefix is the first label of MUC domains; "" is conference.
	MUCPrefix string
}

// Claim is what a token says about rooms.
type Claim struct {
	Rooms          []string
	Present, Regex bool
	// Subject is sub: a domain, a tenant or "*".
	Subject string
}

// Prepared is a claim read under some rules, once for all rooms that will be asked about. It does not change.
type Prepared struct {
	// refused is set where the claim opens no room whatever.
	refused        *reason.Problem
	rooms          []string // as claimed
	regex, anyRoom bool
	// first is one of the names where there is any: most claims have one, which needs no memory of its own.
	first    name
	more     []name
	patterns []pattern
	memory   int // of the patterns
	subject  subject
}

// Memory is roughly what the patterns of the claim take, in bytes.
func (p *Prepared) Memory() int { return p.memory }

// name is a room that a claim names, never empty; with a tenant, the room of that tenant alone.
type name struct{ tenant, name string }

func (n *name) opens(a Address) bool {
	return n.name != "" && n.name == a.Name && (n.tenant == "" || n.tenant == a.Tenant)
}

// Create judges a question about a room that does not exist yet, before anything else about it.
func (r Rules) Create() *reason.Problem {
	if r.AllowCreate {
		return nil
	}
	return &reason.Problem{Code: reason.RoomDoesNotExist, Detail: "a token does not open rooms here (rooms.create: deny)"}
}

// Match decides whether a claim opens the room at a. Whoever asks about one claim more than once prepares it.
func (r Rules) Match(c Claim, a Address) *reason.Problem {
	p := r.Prepare(c)
	return p.Match(a)
}

// Prepare reads a claim: names as Prosody prepares them, patterns compiled and checked from end to end.
func (r Rules) Prepare(c Claim) Prepared {
	p := Prepared{rooms: c.Rooms, regex: c.Regex, subject: r.subjectOf(c.Subject)}
	if !c.Present {
		p.anyRoom, p.refused = true, r.withoutClaim()
		return p
	}
	for _, room := range c.Rooms {
		problem := r.add(&p, room)
		// A pattern that is wrong is named before anything else, wherever it stands.
		if problem != nil && problem.Code == reason.RoomPatternInvalid {
			return Prepared{refused: problem}
		}
		if p.refused == nil {
			p.refused = problem
		}
	}
	return p
}

func (r Rules) withoutClaim() *reason.Problem {
	if !r.RequireClaim {
		return nil
	}
	return &reason.Problem{Code: reason.RoomClaimMissing, Detail: "the token has no room claim (rooms.require_claim)"}
}

func (r Rules) add(p *Prepared, room string) *reason.Problem {
	switch {
	case room == Wildcard:
		p.anyRoom = true
		return r.wildcard(room)
	case p.regex:
		return r.addPattern(p, room)
	}
	r.addNames(p, room)
	return nil
}

func (r Rules) addPattern(p *Prepared, room string) *reason.Problem {
	compiled, err := compile(r.Patterns, room)
	if p.memory += compiled.memory; err == nil && p.memory > maxMemory {
		err = errMemory
	}
	if err != nil {
		return &reason.Problem{Code: reason.RoomPatternInvalid, Detail: fmt.Sprintf("room %q: %v", room, err)}
	}
	p.patterns = append(p.patterns, compiled)
	if !r.AllowWildcard && compiled.matchesEverything() {
		return r.wildcard(room)
	}
	return nil
}

func (r Rules) wildcard(room string) *reason.Problem {
	if r.AllowWildcard {
		return nil
	}
	return &reason.Problem{Code: reason.RoomMismatch, Detail: fmt.Sprintf("room %q stands for any room (rooms.wildcard: deny)", room)}
}

// addNames adds the rooms that a claim names. Where domains are not verified, a claim may name the tenant with the room,
// as upstream lets it; it never opens a room of another tenant by its ending, as upstream does.
func (r Rules) addNames(p *Prepared, room string) {
	folded, ok := decodedProfile.prepare(room)
	if !ok || folded == "" {
		return
	}
	p.addName(name{name: decoded(folded)})
	if tenant, own := splitTenant(folded); tenant != "" && !r.VerifyDomain {
		p.addName(name{tenant: tenant, name: decoded(own)})
	}
}

func (p *Prepared) addName(n name) {
	if p.first.name == "" {
		p.first = n
		return
	}
	p.more = append(p.more, n)
}

// Match decides whether the claim opens the room at a. Names first, then the tenant.
func (p *Prepared) Match(a Address) *reason.Problem {
	if p.refused != nil {
		return p.refused
	}
	if !p.opens(a) {
		return p.mismatch(a)
	}
	return p.subject.fits(a)
}

func (p *Prepared) opens(a Address) bool {
	if p.anyRoom {
		return true
	}
	if p.first.opens(a) || slices.ContainsFunc(p.more, func(n name) bool { return n.opens(a) }) {
		return true
	}
	for _, pattern := range p.patterns {
		if pattern.matches(a.Name) {
			return true
		}
	}
	return false
}

func (p *Prepared) mismatch(a Address) *reason.Problem {
	problem := &reason.Problem{Code: reason.RoomMismatch, Detail: fmt.Sprintf("room %q does not open %q", p.rooms, a.Name)}
	if p.regex {
		problem.JitsiCode = nameDoesNotMatch
	}
	return problem
}
