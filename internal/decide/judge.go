package decide

import (
	"cmp"
	"context"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/room"
	"github.com/usher-im/usher/internal/token"
)

// judge runs on a proven token the checks after the signature, in their fixed order. All that can change between two
// questions (time, revocations, the room) is judged here, every time.
func (d *Door) judge(ctx context.Context, p *profile, q *Question, v *Verdict, now time.Time) {
	proven := v.Proven
	if v.Problem = p.judgeTime(proven, q.Stage, now); v.Problem != nil {
		return
	}
	if v.Problem = proven.static; v.Problem != nil {
		return
	}
	if v.Problem = d.judgeRevocation(ctx, p, v, now); v.Problem != nil {
		return
	}
	v.TenantMismatch = p.tenantMismatch(proven.Claims, q)
	if q.Stage == Connect {
		v.Problem = d.claimJTI(ctx, q, proven)
		return
	}
	if q.Room != "" {
		v.Problem = p.judgeRoom(proven, q, v.TenantMismatch)
	}
}

// judgeTime reads the token's times against now. A recheck asks whether a session may stay: there a token that ran
// out in the meeting counts only with on_expiry: close, and only after its grace.
func (p *profile) judgeTime(proven *Proven, stage Stage, now time.Time) *reason.Problem {
	rules := proven.issuer.time
	if stage != Recheck {
		return rules.Check(proven.Times, now)
	}
	if p.OnExpiry != config.Close || proven.RecheckAt == 0 || now.Unix() < proven.RecheckAt {
		return nil
	}
	return rules.Check(proven.Times, now)
}

func (d *Door) judgeRevocation(ctx context.Context, p *profile, v *Verdict, now time.Time) (problem *reason.Problem) {
	v.RevocationID, problem = d.options.Revocations.Judge(ctx, &v.Proven.marks, p.rev, now)
	return problem
}

// claimJTI writes the replay mark. It comes last at connect, so that a deny burns no jti. A question that is asked again
// claims again, for the same session, and so finds its own mark: on whichever node, and also where the first answer was
// that nothing could be claimed. A caller that names no session is known by its question alone.
func (d *Door) claimJTI(ctx context.Context, q *Question, proven *Proven) *reason.Problem {
	rule := proven.issuer.Replay
	if rule.JTI != config.Once {
		return nil
	}
	var until time.Time
	if proven.Times.Expires != 0 {
		until = time.UnixMilli(proven.Times.Expires).Add(proven.issuer.time.Leeway + time.Minute)
	}
	owner := cmp.Or(q.Session, q.ID)
	claim, err := d.options.Revocations.Claim(ctx, proven.Claims.Issuer, proven.Claims.JTI, owner, q.PreviousSession, rule.Grace, until)
	if err != nil {
		return &reason.Problem{Code: reason.RevocationUnavailable, Detail: "the replay mark could not be written: " + err.Error()}
	}
	if claim.Admits(owner, rule.Grace) {
		return nil
	}
	return &reason.Problem{Code: reason.TokenReplayed, Detail: "jti " + quote(proven.Claims.JTI) + " connected first at " + claim.At.UTC().Format(time.RFC3339)}
}

// judgeRoom: is it a room, does it exist, does the token open it, and does it take this tenant?
func (p *profile) judgeRoom(proven *Proven, q *Question, tenantMismatch bool) *reason.Problem {
	address, problem := room.ParseAddress(q.Room)
	if problem != nil {
		return problem
	}
	if q.Stage == Create {
		if problem := p.rooms.Create(); problem != nil {
			return problem
		}
	}
	if problem := proven.room.Match(address); problem != nil {
		return problem
	}
	if q.RoomRequiresAuth && tenantMismatch {
		return &reason.Problem{Code: reason.AuthenticationRequired, Detail: "the room asks for authentication, and the URL's tenant " + quote(q.Tenant) + " is not the token's " + quote(proven.Claims.Context.Tenant)}
	}
	return nil
}

// tenantMismatch is no business of a profile whose tokens open the rooms of any tenant.
func (p *profile) tenantMismatch(c *token.Claims, q *Question) bool {
	return p.rooms.VerifyDomain && room.TenantMismatch(c.Context.Tenant, c.Context.HasTenant, q.Tenant)
}
