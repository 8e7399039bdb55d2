package server

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/credential"
)

const (
	// slowdown is how long a wrong credential waits for its answer, and guessers how many of them may wait at once:
	// together they bound guessing to some 60 tries a second, whoever guesses.
	slowdown = 250 * time.Millisecond
	guessers = 16
	// actorKey is where the caller's name stands in a request.
	actorKey = "actor"
)

// guard asks callers for their credential.
type guard struct {
	credentials *credential.File
	record      func(audit.Event)
	waiting     chan struct{}
}

func newGuard(f *credential.File, record func(audit.Event)) *guard {
	return &guard{credentials: f, record: record, waiting: make(chan struct{}, guessers)}
}

// refuses answers a caller who may not pass, and says that it did.
func (g *guard) refuses(c *fiber.Ctx, roles []credential.Role) (bool, error) {
	secret, shown := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer ")
	if !shown {
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="usher"`)
		return true, problem(c, fiber.StatusUnauthorized, "credential-missing", "Send a credential as Authorization: Bearer. `usher credential create` makes one.")
	}
	who, ok := g.credentials.Authenticate(secret, time.Now())
	if !ok {
		return true, g.refuseGuess(c)
	}
	if !who.Role.May(roles...) {
		g.note(c, "cred:"+who.Name, "role "+string(who.Role)+" is not enough for "+c.Method()+" "+c.Route().Path)
		return true, problem(c, fiber.StatusForbidden, "role-missing", "This credential's role does not allow this. Use one with role "+enough(roles)+".")
	}
	c.Locals(actorKey, "cred:"+who.Name)
	return false, nil
}

// enough names the roles that would do.
func enough(roles []credential.Role) string {
	if roles[0] == credential.Admin {
		return string(credential.Admin)
	}
	return string(roles[0]) + " or " + string(credential.Admin)
}

// refuseGuess slows a wrong credential down. Past the bound nobody waits: a flood must not hold our memory.
func (g *guard) refuseGuess(c *fiber.Ctx) error {
	select {
	case g.waiting <- struct{}{}:
		time.Sleep(slowdown)
		<-g.waiting
	default:
		c.Set(fiber.HeaderRetryAfter, "1")
		return problem(c, fiber.StatusTooManyRequests, "too-many-failures", "Too many wrong credentials are being tried. Wait a second.")
	}
	g.note(c, "", "wrong credential for "+c.Method()+" "+c.Route().Path)
	c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="usher", error="invalid_token"`)
	return problem(c, fiber.StatusUnauthorized, "credential-wrong", "This credential is not known here. `usher credential list` shows those that are.")
}

func (g *guard) note(c *fiber.Ctx, actor, detail string) {
	now := time.Now()
	g.record(audit.Event{
		Time: now, ID: audit.NewID(now), Kind: audit.Admin, Verdict: audit.Deny, Actor: actor, Detail: detail,
		RemoteIP: c.IP(),
	})
}

// Actor is who makes this request, as audit rows and revocations name them.
func Actor(c *fiber.Ctx) string {
	actor, _ := c.Locals(actorKey).(string)
	return actor
}
