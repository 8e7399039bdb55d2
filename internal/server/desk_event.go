package server

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/revocation"
)

// DeskEvent tells the audit who revoked or lifted what: once that is lifted or has expired, nothing else does. It is found by what it names, as the decisions are that it
// brings about.
func DeskEvent(kind audit.Kind, r revocation.Revocation, actor string, now time.Time) audit.Event {
	e := audit.Event{
		Time: now, ID: audit.NewID(now), Kind: kind, Proven: true, Actor: actor, RevocationID: r.ID, Issuer: r.Issuer,
		Detail: string(r.Selector) + r.Bounds(),
	}
	if r.Reason != "" {
		e.Detail += ": " + r.Reason
	}
	switch r.Selector {
	case revocation.SelectToken:
		e.Fingerprint = audit.Fingerprint(r.Key())
	case revocation.SelectJTI:
		e.JTI = r.Value
	case revocation.SelectUser:
		e.UserID = r.Value
	case revocation.SelectKey:
		e.Kid = r.Value
	case revocation.SelectIssuer:
		e.Issuer = r.Value
	case revocation.SelectRoom:
		e.Tenant, e.Room = tenantAndRoom(r.Value)
	}
	return e
}

// RevocationEvent tells the audit what was asked for and what holds now: of two revocations of the same the reason of the first
// is kept, which is not why somebody else made the second.
func RevocationEvent(asked, kept revocation.Revocation, now time.Time) audit.Event {
	kept.Reason = asked.Reason
	return DeskEvent(audit.Revocation, kept, asked.Actor, now)
}

func tenantAndRoom(value string) (tenant, room string) {
	if rest, found := strings.CutPrefix(value, "["); found {
		if tenant, room, found = strings.Cut(rest, "]"); found {
			return tenant, room
		}
	}
	return "", value
}

// RecentTime is how far a dry run looks back.
const RecentTime = 24 * time.Hour

// A dry run looks at so many decisions at most.
const (
	recentPages = 20
	recentPage  = 1000
)

// wouldDo is what a dry run answers.
type wouldDo struct {
	revocation.Revocation
	DryRun bool `json:"dry_run"`
	// Sessions is how many were let in since Since that this would meet; left out where the audit cannot say.
	Sessions *int      `json:"sessions,omitempty"`
	Since    time.Time `json:"since"`
	// AtLeast: there were more decisions than a dry run looks at.
	AtLeast  bool     `json:"at_least,omitempty"`
	Cautions []string `json:"cautions,omitempty"`
}

func (d *Desk) dryRun(c *fiber.Ctx, rs []revocation.Revocation, cautions [][]string, many bool, now time.Time) error {
	would := make([]wouldDo, len(rs))
	since := now.Add(-RecentTime).UTC().Truncate(time.Second)
	for i, r := range rs {
		would[i] = wouldDo{Revocation: r, DryRun: true, Since: since, Cautions: cautions[i]}
		if d.Recent == nil {
			continue
		}
		var names []string
		if r.Selector == revocation.SelectKey {
			names, _ = d.KeyNames(r.Issuer, r.Value)
		}
		n, more, err := RecentSessions(d.Recent, d.Config(), r, names, since)
		if err != nil {
			return problem(c, fiber.StatusServiceUnavailable, "audit-unavailable", "The audit store failed ("+err.Error()+"), so the sessions cannot be counted.")
		}
		would[i].Sessions, would[i].AtLeast = &n, more
	}
	if many {
		return c.JSON(fiber.Map{"items": would})
	}
	return c.JSON(would[0])
}

// RecentSessions counts those that were let in since, and that a revocation would meet; more says that there were more
// decisions than are looked at. names are those of the key that it names, where it has more than one. An event does not say
// when its token was issued, so issued_before spares none here; nor which rooms its token names, so those who entered a room
// count for it.
func RecentSessions(in *audit.Reader, cfg *config.Config, r revocation.Revocation, names []string, since time.Time) (n int, more bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	e := DeskEvent(audit.Decision, r, "", since)
	ofAny := r.Selector == revocation.SelectKey && r.Issuer == revocation.AnyIssuer
	if ofAny {
		e.Issuer = ""
	}
	tenant, ofTenant := tenantMark(e.Tenant)
	seen := map[string]bool{}
	kids := []string{e.Kid}
	if len(names) > 0 {
		kids = names
	}
	for _, kid := range kids {
		q := audit.Query{
			Since: since, Kind: audit.Decision, Verdict: audit.Allow, Proven: true, Limit: recentPage,
			Issuer: e.Issuer, JTI: e.JTI, User: e.UserID, Kid: kid, Fingerprint: e.Fingerprint, Room: e.Room,
		}
		some, err := eachRecent(ctx, in, q, func(e *audit.Event) {
			if marks := revocation.MarksOf(revocation.Subject{Tenant: e.Subject}); ofTenant && !slices.Contains(marks.Keys(), tenant) {
				return
			}
			if p := cfg.Profiles[e.Profile]; ofAny && p != nil && slices.ContainsFunc(p.Issuers, func(i *config.Issuer) bool { return i.Iss == e.Issuer && i.Iss != config.Any }) {
				return // by a key of that issuer's own
			}
			seen[cmp.Or(e.Session, e.ID)] = true
		})
		if err != nil {
			return 0, false, err
		}
		more = more || some
	}
	return len(seen), more, nil
}

// eachRecent hands over what a dry run looks at; more says that there was more.
func eachRecent(ctx context.Context, in *audit.Reader, q audit.Query, f func(*audit.Event)) (more bool, err error) {
	for range recentPages {
		page, err := in.Query(ctx, q)
		if err != nil {
			return false, err
		}
		for i := range page.Events {
			f(&page.Events[i])
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return false, nil
		}
	}
	return true, nil
}

// tenantMark is what all tokens of a tenant are revoked by. Their sub names it, and not the tenant of an event, which is that
// of the URL.
func tenantMark(tenant string) (mark revocation.Key, named bool) {
	if tenant == "" {
		return mark, false
	}
	r, err := revocation.Prepare(revocation.Revocation{Selector: revocation.SelectRoom, Value: "[" + tenant + "]"}, time.Time{})
	return r.Key(), err == nil
}
