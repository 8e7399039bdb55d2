package decide

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/keys"
	"github.com/usher-im/usher/internal/policy"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/token"
)

// issuer is one block of a profile's issuers, made ready for use.
type issuer struct {
	*config.Issuer
	// path is where the block stands in the config, for explain.
	path       string
	keys       Keys
	algorithms []token.Algorithm // empty: as the keys have it
	time       token.TimeRules
	features   policy.FeatureRules
	marks      revocation.Shared
}

func newIssuer(p *profile, c *config.Issuer, n int, open func(*config.Issuer) (Keys, error)) (*issuer, error) {
	ring, err := open(c)
	if err != nil {
		return nil, err
	}
	i := &issuer{
		Issuer: c,
		path:   "profiles." + p.Name + ".issuers[" + strconv.Itoa(n) + "]",
		keys:   ring,
		time: token.TimeRules{
			Leeway: c.Time.Leeway, RequireExp: c.Time.RequireExp, MaxLifetime: c.Time.MaxLifetime,
			Timestamps: token.Timestamps(c.Time.Timestamps),
		},
	}
	for _, name := range c.Algorithms {
		i.algorithms = append(i.algorithms, token.Algorithm(name))
	}
	if f := c.Features; f != nil {
		i.features = policy.FeatureRules{Allow: f.Allow, HasAllow: f.Allow != nil, Default: f.Default, Force: f.Force}
	}
	return i, nil
}

// trial is one token on its way through the checks that prove it.
type trial struct {
	door    *Door
	profile *profile
	host    string
	raw     string
	address string
	now     time.Time

	token      *token.Token // nil until its shape is found good
	issuer     *issuer
	algorithm  token.Algorithm
	generation uint64
	key        *keys.Key
	noKey      *reason.Problem // why there is no key, once it was looked for
	proof      *proof
}

// proof is what a trial comes to and the token that it rests on, in one piece of memory: the one is kept with the other.
type proof struct {
	proven Proven
	token  token.Token
}

func newTrial(d *Door, p *profile, q *Question, now time.Time) trial {
	return trial{door: d, profile: p, host: q.Host, raw: q.Token, address: q.RemoteIP, now: now, proof: new(proof)}
}

// check is one of the checks up to the signature.
type check int

// They come in a fixed order: nothing that a token claims is believed before.
const (
	shape check = iota
	findIssuer
	findAlgorithm
	findKey
	signature
	proved
)

// name is what explain calls it.
func (c check) name() string {
	return [...]string{"shape", "issuer", "algorithm", "key", "signature"}[c]
}

// check calls each check by itself: through a table of functions every trial would have to be allocated.
func (t *trial) check(ctx context.Context, c check) *reason.Problem {
	switch c {
	case shape:
		return t.shape()
	case findIssuer:
		return t.findIssuer()
	case findAlgorithm:
		return t.findAlgorithm(ctx)
	case findKey:
		return t.findKey(ctx)
	default:
		return t.signature()
	}
}

// run goes through the checks up to the first that fails.
func (t *trial) run(ctx context.Context) *reason.Problem {
	for c := shape; c < proved; c++ {
		if problem := t.check(ctx, c); problem != nil {
			return problem
		}
	}
	return nil
}

func (t *trial) shape() *reason.Problem {
	if problem := t.proof.token.Read(t.raw, t.profile.limits); problem != nil {
		return problem
	}
	t.token = &t.proof.token
	return nil
}

func (t *trial) findIssuer() *reason.Problem {
	c := &t.token.Claims
	if c.Issuer == "" { // no revocation could name the issuer of an empty one, nor its users
		return &reason.Problem{Code: reason.IssuerNotAllowed, Detail: "the token has no iss"}
	}
	if t.issuer = t.profile.issuers[c.Issuer]; t.issuer == nil {
		t.issuer = t.profile.anyIssuer
	}
	if t.issuer == nil {
		return &reason.Problem{Code: reason.IssuerNotAllowed, Detail: "iss " + quote(c.Issuer) + " is not among the issuers of profile " + t.profile.Name}
	}
	return nil
}

func (t *trial) findAlgorithm(ctx context.Context) *reason.Problem {
	alg, known := token.ParseAlgorithm(t.token.Header.Alg)
	allowed := t.issuer.algorithms
	if len(allowed) == 0 {
		// They follow the keys, of which a URL may have others once it has been read for this token.
		if known {
			t.lookForKey(ctx, alg)
		}
		allowed = t.issuer.keys.DefaultAlgorithms()
	}
	switch {
	case known && slices.Contains(allowed, alg):
		t.algorithm = alg
		return nil
	case t.key != nil && t.key.Doubt != nil:
		return t.key.Doubt
	case t.noKey != nil && t.noKey.Code == reason.KeyUnavailable:
		return t.noKey
	}
	return &reason.Problem{Code: reason.AlgorithmNotAllowed, Detail: "alg " + quote(t.token.Header.Alg) + " is not among the issuer's algorithms " + list(allowed)}
}

func (t *trial) findKey(ctx context.Context) *reason.Problem {
	if len(t.issuer.algorithms) > 0 {
		t.lookForKey(ctx, t.algorithm)
	}
	return t.noKey
}

func (t *trial) lookForKey(ctx context.Context, alg token.Algorithm) {
	// Read before the key: if a key goes meanwhile, the proof counts as older than the change.
	t.generation = t.issuer.keys.Generation()
	from, _ := Subscriber(t.address)
	t.key, t.noKey = t.issuer.keys.Find(ctx, t.token.Header.Kid, t.token.Header.HasKid, alg, t.now, from)
}

func (t *trial) signature() *reason.Problem {
	if err := t.key.Verify(t.algorithm, t.token.SigningInput, t.token.Signature); err != nil {
		if t.key.Doubt != nil {
			return t.key.Doubt
		}
		return &reason.Problem{Code: reason.SignatureInvalid, Detail: "the signature does not verify with key " + quote(t.key.ID)}
	}
	return nil
}

// judgeClaims are the checks that depend on the claims and the config alone, in their order.
func (i *issuer) judgeClaims(c *token.Claims, domain string) *reason.Problem {
	if p := i.audience(c); p != nil {
		return p
	}
	if p := i.subject(c, domain); p != nil {
		return p
	}
	return i.requiredClaims(c)
}

func (i *issuer) audience(c *token.Claims) *reason.Problem {
	if len(c.Audience) == 0 {
		return &reason.Problem{Code: reason.AudienceNotAllowed, Detail: "the token has no aud"}
	}
	for _, allowed := range i.Audiences {
		if allowed == "*" || slices.Contains(c.Audience, allowed) {
			return nil
		}
	}
	return &reason.Problem{Code: reason.AudienceNotAllowed, Detail: "aud " + list(c.Audience) + " is not among the issuer's audiences " + list(i.Audiences)}
}

// subject compares without regard to case, as domains do (Jitsi lower-cases sub as well).
func (i *issuer) subject(c *token.Claims, domain string) *reason.Problem {
	if c.Subject == "" {
		return &reason.Problem{Code: reason.SubjectMissing, Detail: "the token has no sub"}
	}
	allowed := i.Subjects
	if len(allowed) == 0 {
		allowed = []string{domain}
	}
	for _, s := range allowed {
		if s == "*" || strings.EqualFold(s, c.Subject) {
			return nil
		}
	}
	return &reason.Problem{Code: reason.SubjectNotAllowed, Detail: "sub " + quote(c.Subject) + " is not among the issuer's subjects " + list(allowed)}
}

func (i *issuer) requiredClaims(c *token.Claims) *reason.Problem {
	for _, path := range i.RequiredClaims {
		if raw, ok := c.Lookup(path); !ok || emptyClaim(raw) {
			return &reason.Problem{Code: reason.ClaimMissing, Detail: "required claim " + path + " is missing"}
		}
	}
	if i.Replay.JTI == config.Once && c.JTI == "" {
		return &reason.Problem{Code: reason.ClaimMissing, Detail: "claim jti is missing, and replay.jti: once needs it"}
	}
	return nil
}

// emptyClaim: a required claim that says nothing is not there.
func emptyClaim(raw json.RawMessage) bool { return string(raw) == "null" || string(raw) == `""` }

// quote shows a claim in a detail: escaped, and cut so that no token smuggles a page into the audit.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.QuoteToGraphic(s)
}

func list[S ~string](all []S) string {
	var b strings.Builder
	b.WriteByte('[')
	for n, s := range all {
		if n > 0 {
			b.WriteString(", ")
		}
		if n == 8 {
			b.WriteString("…")
			break
		}
		b.WriteString(quote(string(s)))
	}
	b.WriteByte(']')
	return b.String()
}
