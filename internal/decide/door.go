package decide

import (
	"cmp"
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/keys"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/room"
	"github.com/usher-im/usher/internal/token"
)

// Keys finds the one key that a token must verify with (a *keys.Ring).
type Keys interface {
	Find(ctx context.Context, kid string, hasKid bool, alg token.Algorithm, now time.Time, from netip.Prefix) (*keys.Key, *reason.Problem)
	Generation() uint64
	DefaultAlgorithms() []token.Algorithm
}

// Revocations judges whether a proven token has been revoked, and lets each one-time jti connect once (a
// *revocation.Ledger).
type Revocations interface {
	Judge(ctx context.Context, m *revocation.Marks, r revocation.Rules, now time.Time) (revocationID string, problem *reason.Problem)
	FeedKeys(names []revocation.Name, m *revocation.Marks) []revocation.Name
	Claim(ctx context.Context, issuer, jti, owner, previous string, grace time.Duration, until time.Time) (revocation.Claim, error)
}

// Options are what a Door stands on.
type Options struct {
	// OpenKeys gives the keys of one issuer block.
	OpenKeys func(*config.Issuer) (Keys, error)
	// Revocations may be nil in a Door that only explains.
	Revocations Revocations
	// Encode writes what an allow says of a proven token, in full and for a join. It runs once per token, host and form, when
	// an allow is first told so; its results are kept beside the claims. It must not keep what it is given.
	Encode func(*Proven, *Given, Form) (full, short []byte)
	// CacheWeight bounds the proven tokens that are kept, in bytes; 0 means 64 MiB.
	CacheWeight uint64
}

// Door holds one configuration's rules and gives verdicts by them. A reload makes a new Door: nothing that an old one
// has proven outlives it. Its methods may be called from any number of goroutines.
type Door struct {
	profiles map[string]*profile
	fallback *profile // the one named default; nil where there is none
	options  Options
	proven   *cache
}

// profile is the rules of one Prosody host.
type profile struct {
	*config.Profile
	limits  token.Limits
	rev     revocation.Rules
	rooms   room.Rules
	issuers map[string]*issuer
	// anyIssuer is the block with iss "*"; nil where there is none.
	anyIssuer *issuer
	lastHost  atomic.Pointer[string]
}

// ownHost copies a host's name, which lies in a request's buffer: once for all the proofs that it is shown for in a row.
func (p *profile) ownHost(name string) string {
	if last := p.lastHost.Load(); last != nil && *last == name {
		return *last
	}
	own := strings.Clone(name)
	p.lastHost.Store(&own)
	return own
}

// New builds the rules of cfg. It fails where the keys of an issuer cannot be opened.
func New(cfg *config.Config, opt Options) (*Door, error) {
	opt.CacheWeight = cmp.Or(opt.CacheWeight, 64<<20)
	open := opt.OpenKeys
	opt.OpenKeys = nil // it knows the rules that these replace: a Door that kept it would keep them, and they those before them
	d := &Door{profiles: map[string]*profile{}, options: opt, proven: newCache(opt.CacheWeight)}
	for name, c := range cfg.Profiles {
		p := &profile{
			Profile: c,
			limits:  token.Limits{MaxSize: int(cfg.Limits.MaxTokenSize), Types: c.Types, Known: new(token.KnownHeaders)},
			issuers: map[string]*issuer{},
			rev: revocation.Rules{
				AllowWhenUnavailable: c.Revocation.OnUnavailable == config.Allow,
				MaxStaleness:         c.Revocation.MaxStaleness,
				Strict:               c.Revocation.Strict,
			},
			rooms: room.Rules{
				VerifyDomain: c.Rooms.VerifyDomain, RequireClaim: c.Rooms.RequireClaim,
				AllowCreate: c.Rooms.Create == config.Allow, AllowWildcard: c.Rooms.Wildcard == config.Allow,
				Patterns: c.Rooms.Patterns, MUCPrefix: c.MUCPrefix,
			},
		}
		for n, ci := range c.Issuers {
			i, err := newIssuer(p, ci, n, open)
			if err != nil {
				return nil, err
			}
			if ci.Iss == "*" {
				p.anyIssuer = i
			} else {
				p.issuers[ci.Iss] = i
			}
		}
		d.profiles[strings.ToLower(name)] = p
	}
	d.fallback = d.profiles["default"]
	return d, nil
}

// profileFor finds the rules for a question: the profile it names, else the one named as its host, else default. A
// name that does not exist is never passed over.
func (d *Door) profileFor(q *Question) (*profile, *reason.Problem) {
	if q.Profile != "" {
		if p := d.profiles[strings.ToLower(q.Profile)]; p != nil {
			return p, nil
		}
		return nil, &reason.Problem{Code: reason.ProfileUnknown, Detail: "there is no profile " + quote(q.Profile)}
	}
	if p := d.profiles[strings.ToLower(q.Host)]; p != nil {
		return p, nil
	}
	if d.fallback != nil {
		return d.fallback, nil
	}
	return nil, &reason.Problem{Code: reason.ProfileUnknown, Detail: "there is no profile " + quote(q.Host) + " and none named default"}
}

// domainFor is the deployment's domain: the profile's, else the host that asks.
func (p *profile) domainFor(host string) string {
	if p.Domain != "" {
		return p.Domain
	}
	return host
}

// Decide answers one question.
func (d *Door) Decide(ctx context.Context, q *Question, now time.Time) Verdict {
	p, problem := d.profileFor(q)
	if problem != nil {
		return Verdict{Problem: problem}
	}
	v := Verdict{Profile: p.Name, Full: q.Grant == ""}
	switch {
	case q.Grant != "":
		v.Proven = d.proven.granted(q.Grant, p, q.Host, now)
		if v.Proven == nil {
			return Verdict{NeedToken: true, Profile: p.Name}
		}
	case q.Token != "":
		d.prove(ctx, p, q, &v, now)
	default:
		v.Problem = p.judgeGuest(q)
	}
	if v.Proven != nil {
		v.IssuerBlock = v.Proven.issuer.Iss
		d.judge(ctx, p, q, &v, now)
	}
	return v
}

// judgeGuest: who shows no token is let in by the config alone, and only into rooms that exist and ask for nothing.
func (p *profile) judgeGuest(q *Question) *reason.Problem {
	if p.Guests != config.Allow {
		return &reason.Problem{Code: reason.TokenMissing}
	}
	if q.Stage.judgesRoom() && q.Room != "" {
		if _, problem := room.ParseAddress(q.Room); problem != nil {
			return problem
		}
	}
	switch {
	case q.Stage == Create:
		return &reason.Problem{Code: reason.RoomDoesNotExist, Detail: "a guest does not open rooms"}
	case q.Stage.judgesRoom() && q.RoomRequiresAuth:
		return &reason.Problem{Code: reason.AuthenticationRequired, Detail: "the room admits no guests"}
	}
	return nil
}
