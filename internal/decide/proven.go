package decide

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/policy"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/room"
	"github.com/usher-im/usher/internal/token"
)

// Proven is a token whose signature was good, with all that follows from its claims alone. It is shared by every question
// that shows the token again, and nothing in it changes but what Tell remembers. Time, revocation, replay and room are not in it: they are
// judged each time.
type Proven struct {
	Claims      *token.Claims
	Algorithm   token.Algorithm
	KeyID       string // the key that verified, as revocations name it
	Fingerprint [16]byte
	Times       token.Times

	UserID      string // by revocation.user_claim
	User        json.RawMessage
	Affiliation string
	RoomPolicy  *policy.RoomPolicy
	// ExpiresAt is the token's exp, and RecheckAt when a session with it is to be judged again: Unix seconds; 0: not set.
	ExpiresAt, RecheckAt int64

	door       *Door
	name       sum // in the cache
	told       [forms]atomic.Pointer[Told]
	host       string
	profile    *profile
	issuer     *issuer
	generation uint64
	notAfter   time.Time // of the key; zero: no end
	marks      revocation.Marks
	room       room.Prepared
	// static is the first failure among audience, subject and required claims, which depend on nothing but the
	// claims and the config; nil where they pass.
	static *reason.Problem
}

// stands tells whether the key that proved p is still there.
func (p *Proven) stands(now time.Time) bool {
	return p.issuer.keys.Generation() == p.generation && (p.notAfter.IsZero() || now.Before(p.notAfter))
}

// weight is roughly the memory that p holds, in bytes.
func (p *Proven) weight() int {
	return 2400 + 2*len(p.Claims.Raw) + len(p.Claims.Context.Raw) + p.room.Memory()
}

// prove runs the checks up to the signature, or finds that they were run before.
func (d *Door) prove(ctx context.Context, p *profile, q *Question, v *Verdict, now time.Time) {
	name, signed := nameOf(p.Name, q.Host, q.Token)
	if v.Proven = d.proven.seen(name, now); v.Proven != nil {
		return
	}
	t := newTrial(d, p, q, now)
	if v.Problem = t.run(ctx); v.Problem != nil {
		t.claim(v)
		if t.issuer != nil {
			v.IssuerBlock = t.issuer.Iss
		}
		return
	}
	proven, problem := t.proven(signed)
	if v.Problem = problem; problem != nil {
		t.claim(v)
		v.IssuerBlock = t.issuer.Iss
		return
	}
	proven.name = name
	p.limits.Known.Remember(t.token)
	t.letGo()
	d.proven.keep(proven)
	v.Proven = proven
}

// claim tells what a token says of itself that proves nothing, as far as it could be read.
func (t *trial) claim(v *Verdict) {
	if v.Claimed = t.token; t.token != nil {
		v.ClaimedUser = t.profile.userOf(&t.token.Claims)
	}
}

// proven draws from a verified token all that its claims alone decide.
func (t *trial) proven(signed sum) (*Proven, *reason.Problem) {
	c := &t.token.Claims
	times, problem := c.Times(t.issuer.time.Timestamps)
	if problem != nil {
		return nil, problem
	}
	p := &t.proof.proven
	*p = Proven{
		Claims:      c,
		Algorithm:   t.algorithm,
		KeyID:       t.key.ID,
		Fingerprint: [16]byte(signed[:16]),
		Times:       times,
		UserID:      t.profile.userOf(c),
		User:        policy.User(c),
		Affiliation: policy.Affiliation(c),
		RoomPolicy:  policy.Room(c),
		door:        t.door,
		host:        t.profile.ownHost(t.host),
		profile:     t.profile,
		issuer:      t.issuer,
		generation:  t.generation,
		notAfter:    t.key.NotAfter,
		room:        t.profile.rooms.Prepare(roomClaim(c)),
		static:      t.issuer.judgeClaims(c, t.profile.domainFor(t.host)),
	}
	p.marks = t.issuer.marks.MarksOf(p.subject(t.key.Names))
	p.ends()
	return p, nil
}

// ends sets what p says of its end.
func (p *Proven) ends() {
	if p.Times.Expires == 0 {
		return
	}
	p.ExpiresAt = ceilSeconds(p.Times.Expires)
	if p.profile.OnExpiry == config.Close {
		p.RecheckAt = ceilSeconds(p.Times.Expires + (p.issuer.time.Leeway + p.profile.OnExpiryGrace).Milliseconds())
	}
}

// letGo parts a proven token from what its proof does not need: its first two parts lie in the request's buffer.
func (t *trial) letGo() { t.token.SigningInput, t.token.Signature = nil, nil }

// subject is what revocations match a token by.
func (p *Proven) subject(names []string) revocation.Subject {
	return revocation.Subject{
		Issuer: p.Claims.Issuer, JTI: p.Claims.JTI, User: p.UserID, KeyID: p.KeyID, KeyNames: names, AnyIssuer: p.issuer == p.profile.anyIssuer,
		Fingerprint: p.Fingerprint, Rooms: p.Claims.Room, Tenant: p.Claims.Subject, IssuedAt: p.Times.IssuedAt,
	}
}

// userOf reads the user's id where the profile says that it stands; a token without a context may have it in user_id.
func (p *profile) userOf(c *token.Claims) string {
	if path := p.Revocation.UserClaim; path != userClaim {
		id, _ := c.Identity(path)
		return id
	}
	if !c.Context.Present {
		return c.TopUserID
	}
	return c.Context.UserID
}

// userClaim is where the user's id stands by default, and the one place that the claims hold ready.
const userClaim = "context.user.id"

func roomClaim(c *token.Claims) room.Claim {
	return room.Claim{Rooms: c.Room, Present: c.HasRoom, Regex: c.Context.RoomRegex, Subject: c.Subject}
}

func ceilSeconds(ms int64) int64 { return (ms + 999) / 1000 }

// bytesOf reads a string's bytes in place; they are not written to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
