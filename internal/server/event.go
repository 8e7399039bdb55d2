package server

import (
	"strings"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
)

// eventOf tells the audit about one decision. Its strings may alias the request: the pipeline copies them.
func eventOf(q *decide.Question, v *decide.Verdict, id string, start time.Time, took time.Duration) audit.Event {
	e := audit.Event{
		Time: start, ID: id, Kind: audit.Decision, Verdict: audit.Allow,
		Host: q.Host, Profile: v.Profile, Session: q.Session, Stage: string(q.Stage),
		Room: q.Room, Tenant: q.Tenant, RemoteIP: q.RemoteIP, UserAgent: q.UserAgent,
		RevocationID: v.RevocationID, LatencyUS: took.Microseconds(),
	}
	if p := v.Problem; p != nil {
		e.Reason, e.Detail, e.Verdict = p.Code, p.Detail, verdictOf(p.Code)
	}
	switch {
	case v.Proven != nil:
		p := v.Proven
		e.Proven = true
		addClaims(&e, p.Claims)
		e.UserID, e.Kid, e.Alg, e.Fingerprint = p.UserID, p.KeyID, string(p.Algorithm), p.Fingerprint
		if v.Allow() {
			e.Detail = strings.Join(p.Notes(), "; ")
		}
	case v.Claimed != nil:
		t := v.Claimed
		addClaims(&e, &t.Claims)
		e.UserID, e.Kid, e.Alg, e.Fingerprint = v.ClaimedUser, t.Header.Kid, t.Header.Alg, token.Fingerprint(t.SigningInput)
	}
	return e
}

func verdictOf(code reason.Code) audit.Verdict {
	if code.Info().Unavailable {
		return audit.Unavailable
	}
	return audit.Deny
}

// addClaims notes what a token says of its bearer, proven or not, but for the user's id: where that stands the profile says.
func addClaims(e *audit.Event, c *token.Claims) {
	e.Issuer, e.Subject, e.JTI = c.Issuer, c.Subject, c.JTI
	e.UserName, e.UserEmail = c.Context.UserName, c.Context.UserEmail
}
