package decide

import (
	"context"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
)

// Results of a check.
const (
	Passed  = "pass"
	Failed  = "fail"
	Skipped = "skipped"
)

// Check is one check of an explanation.
type Check struct {
	Name   string      `json:"name"`
	Result string      `json:"result"`
	Reason reason.Code `json:"reason,omitempty"`
	Detail string      `json:"detail,omitempty"`
	// Config is where the rule stands that decided, as a path into the config.
	Config string `json:"config,omitempty"`
}

// Explanation shows every check for one token. Reason is what Decide would have answered.
type Explanation struct {
	Allow  bool        `json:"allow"`
	Reason reason.Code `json:"reason,omitempty"`
	Checks []Check     `json:"checks"`

	// HostMissing: nothing but the host that asks is missing for an allow. The profile has no domain, so that sub must
	// be that host, and the question names none.
	HostMissing bool `json:"-"`
	// Claims and Times are what the token says of itself; Claims is nil where it cannot be read.
	Claims *token.Claims `json:"-"`
	Times  token.Times   `json:"-"`
}

// Explain runs all the checks that can be run, not only up to the first that fails. It claims no jti, is no decision
// and leaves no trace. What an unproven token claims is shown for what it is: after a failed signature the further
// checks speak of claims that nobody vouches for.
//
// A question that names a profile and no host is judged as the host whose name the profile bears, if it is one.
func (d *Door) Explain(ctx context.Context, q *Question, now time.Time) Explanation {
	p, problem := d.profileFor(q)
	if problem != nil {
		return Explanation{Reason: problem.Code, Checks: []Check{{Name: "profile", Result: Failed, Reason: problem.Code, Detail: problem.Detail, Config: "profiles"}}}
	}
	e := explainer{door: d, trial: newTrial(d, p, q, now), question: q}
	if e.trial.host == "" && strings.Contains(p.Name, ".") {
		e.trial.host = p.Name
	}
	if q.Token == "" {
		e.add("shape", "profiles."+p.Name+".guests", p.judgeGuest(q))
	} else {
		e.proofs(ctx)
		e.judgements(ctx)
	}
	e.out.Allow = e.out.Reason == reason.None
	e.out.HostMissing = e.noHost && e.failed == 1
	return e.out
}

type explainer struct {
	door     *Door
	trial    trial
	question *Question
	failed   int  // checks
	noHost   bool // a check failed for want of a host
	out      Explanation
}

// add notes one check; the first that fails gives the reason.
func (e *explainer) add(name, config string, problem *reason.Problem) {
	if problem == nil {
		e.out.Checks = append(e.out.Checks, Check{Name: name, Result: Passed, Config: config})
		return
	}
	e.failed++
	if e.out.Reason == reason.None {
		e.out.Reason = problem.Code
	}
	e.out.Checks = append(e.out.Checks, Check{Name: name, Result: Failed, Reason: problem.Code, Detail: problem.Detail, Config: config})
}

func (e *explainer) skip(name, config, why string) {
	e.out.Checks = append(e.out.Checks, Check{Name: name, Result: Skipped, Detail: why, Config: config})
}

// proofs runs the checks up to the signature; after a failure the rest of them have nothing to stand on.
func (e *explainer) proofs(ctx context.Context) {
	failed := ""
	for c := shape; c < proved; c++ {
		if failed != "" {
			e.skip(c.name(), "", "needs the check "+failed+" to pass")
			continue
		}
		problem := e.trial.check(ctx, c)
		e.add(c.name(), e.provingConfig(c), problem)
		if problem != nil {
			failed = c.name()
		}
	}
}

func (e *explainer) provingConfig(c check) string {
	profile := "profiles." + e.trial.profile.Name
	if e.trial.issuer == nil {
		if c == shape {
			return profile + ".types"
		}
		return profile + ".issuers"
	}
	switch c {
	case findAlgorithm:
		return e.trial.issuer.path + ".algorithms"
	case findKey, signature:
		return e.trial.issuer.path + ".keys"
	}
	return e.trial.issuer.path + ".iss"
}

// judgements runs what comes after the signature, as far as the token can be read at all.
func (e *explainer) judgements(ctx context.Context) {
	names := []string{"time", "audience", "subject", "claims", "revocation", "replay", "room"}
	t := &e.trial
	if t.token == nil || t.issuer == nil {
		for _, name := range names {
			e.skip(name, "", "no issuer's rules apply to this token")
		}
		return
	}
	c, path := &t.token.Claims, t.issuer.path
	times, problem := c.Times(t.issuer.time.Timestamps)
	e.out.Claims, e.out.Times = c, times
	if problem == nil {
		p := Proven{profile: t.profile, issuer: t.issuer, Times: times}
		p.ends()
		problem = t.profile.judgeTime(&p, e.question.Stage, t.now)
	}
	e.add("time", path+".time", problem)
	e.add("audience", path+".audiences", t.issuer.audience(c))
	e.subject(path, c)
	e.add("claims", path+".required_claims", t.issuer.requiredClaims(c))
	e.revocation(ctx)
	e.replay(path)
	e.room(c)
}

func (e *explainer) subject(path string, c *token.Claims) {
	domain := e.trial.profile.domainFor(e.trial.host)
	problem := e.trial.issuer.subject(c, domain)
	if problem != nil && problem.Code == reason.SubjectNotAllowed && domain == "" && len(e.trial.issuer.Subjects) == 0 {
		problem.Detail = "profile " + e.trial.profile.Name + " has no domain, so sub must be the host that asks"
		if e.noHost = c.Subject != "*"; e.noHost { // which no host is called
			problem.Detail += ", and none is named: name it"
		}
	}
	e.add("subject", path+".subjects", problem)
}

func (e *explainer) revocation(ctx context.Context) {
	config := "profiles." + e.trial.profile.Name + ".revocation"
	switch {
	case e.door.options.Revocations == nil:
		e.skip("revocation", "", "the revocation list is not asked offline")
		return
	case e.trial.key == nil:
		e.skip("revocation", "", "is judged for tokens whose key was found")
		return
	}
	_, signed := nameOf("", "", e.trial.raw)
	proven, problem := e.trial.proven(signed)
	if problem != nil {
		e.skip("revocation", "", "needs times that can be read")
		return
	}
	v := Verdict{Proven: proven}
	e.add("revocation", config, e.door.judgeRevocation(ctx, e.trial.profile, &v, e.trial.now))
}

func (e *explainer) replay(path string) {
	switch {
	case e.trial.issuer.Replay.JTI != config.Once:
		e.skip("replay", path+".replay", "replay protection is off for this issuer")
	case e.question.Stage != Connect:
		e.skip("replay", path+".replay", "is judged at connect alone")
	default:
		e.skip("replay", path+".replay", "an explanation claims no jti")
	}
}

func (e *explainer) room(c *token.Claims) {
	config := "profiles." + e.trial.profile.Name + ".rooms"
	if !e.question.Stage.judgesRoom() || e.question.Room == "" {
		e.skip("room", config, "the question names no room to enter")
		return
	}
	p := &Proven{Claims: c, room: e.trial.profile.rooms.Prepare(roomClaim(c))}
	mismatch := e.trial.profile.tenantMismatch(c, e.question)
	e.add("room", config, e.trial.profile.judgeRoom(p, e.question, mismatch))
}
