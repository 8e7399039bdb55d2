package server

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/credential"
)

const (
	// slowdown is how long a wrong credential waits for its answer, and guessers how many of them may wait at once:
	// together they bound guessing to some 60 tries a second, whoever guesses.
	slowdown = 250 * time.Millisecond
	guessers = 16
	// anybodysBody is the largest body that is read on the admin listener for somebody whose credential is not known.
	anybodysBody = 64 * kib
	// roleHeader tells the console what it may offer.
	roleHeader = "Usher-Role"
	// callerKey is where a request keeps who makes it, a *caller.
	callerKey = "caller"
)

// guard asks callers for their credential.
type guard struct {
	credentials *credential.File
	audit       Recorder
	waiting     chan struct{}
}

func newGuard(f *credential.File, to Recorder) *guard {
	return &guard{credentials: f, audit: to, waiting: make(chan struct{}, guessers)}
}

// bodyLimit is how much is read of a request's body, most at most. fasthttp sets memory aside for all that a
// Content-Length promises before any handler is asked, so a long body is read only for callers who are known. One that
// comes in chunks has no length, and may be long.
func (g *guard) bodyLimit(most int) func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
	return func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		const inChunks = -1
		limit := min(most, anybodysBody)
		if n := h.ContentLength(); n > limit || n == inChunks {
			if _, known, _ := g.find(h); known {
				limit = most
			}
		}
		return fasthttp.RequestConfig{MaxRequestBodySize: limit}
	}
}

// find tells whose credential a request shows, if it shows one.
func (g *guard) find(h *fasthttp.RequestHeader) (who credential.Credential, known, shown bool) {
	// A scheme is written in any case, and spaces follow it (RFC 9110, section 11.4).
	scheme, secret, shown := strings.Cut(utils.UnsafeString(h.Peek(fiber.HeaderAuthorization)), " ")
	if shown = shown && strings.EqualFold(scheme, "Bearer"); shown {
		who, known = g.credentials.Authenticate(strings.TrimLeft(secret, " "), time.Now())
	}
	return who, known, shown
}

// refuses answers a caller who may not pass, and says that it did.
func (g *guard) refuses(c *fiber.Ctx, roles []credential.Role) (bool, error) {
	who, known, shown := g.find(&c.Request().Header)
	if !known {
		return true, g.refuseUnknown(c, shown, c.Method()+" "+c.Route().Path)
	}
	welcome(c.Context().Conn())
	if !who.Role.May(roles...) {
		g.note(c, "cred:"+who.Name, "role "+string(who.Role)+" is not enough for "+c.Method()+" "+c.Route().Path)
		return true, problem(c, fiber.StatusForbidden, "role-missing", "This credential's role does not allow this. Use one with role "+enough(roles)+".")
	}
	c.Locals(callerKey, &caller{who, g.credentials})
	if who.Role != credential.Verify { // the shim has no page to make fit for it
		c.Set(roleHeader, string(who.Role))
	}
	return false, nil
}

// enough names the roles that would do.
func enough(roles []credential.Role) string {
	names := ""
	for _, role := range roles {
		if role != credential.Admin {
			names += string(role) + " or "
		}
	}
	return names + string(credential.Admin)
}

// refuseUnknown answers a caller who shows no credential, or none that is known; asked is what the audit is told that it
// was for.
func (g *guard) refuseUnknown(c *fiber.Ctx, shown bool, asked string) error {
	if !shown {
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="usher"`)
		return problem(c, fiber.StatusUnauthorized, "credential-missing", "Send a credential as Authorization: Bearer. `usher credential create` makes one.")
	}
	return g.refuseGuess(c, asked)
}

// refuseGuess slows a wrong credential down. Past the bound nobody waits: a flood must not hold our memory.
func (g *guard) refuseGuess(c *fiber.Ctx, asked string) error {
	select {
	case g.waiting <- struct{}{}:
		time.Sleep(slowdown)
		<-g.waiting
	default:
		c.Set(fiber.HeaderRetryAfter, "1")
		return problem(c, fiber.StatusTooManyRequests, "too-many-failures", "Too many wrong credentials are being tried. Wait a second.")
	}
	g.note(c, "", "wrong credential for "+asked)
	c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="usher", error="invalid_token"`)
	return problem(c, fiber.StatusUnauthorized, "credential-wrong", "This credential is not known here. `usher credential list` shows those that are.")
}

func (g *guard) note(c *fiber.Ctx, actor, detail string) {
	now := time.Now()
	g.audit.Record(audit.Event{
		Time: now, ID: audit.NewID(now), Kind: audit.Admin, Verdict: audit.Deny, Actor: actor, Detail: detail,
		RemoteIP: c.IP(),
	})
}

// caller is who makes a request, and among which credentials his was found.
type caller struct {
	credential.Credential
	among *credential.File
}

// Actor is who makes this request, as audit rows and revocations name them.
func Actor(c *fiber.Ctx) string {
	if who, shown := c.Locals(callerKey).(*caller); shown {
		return "cred:" + who.Name
	}
	return ""
}

// stillMay gives a function that tells whether the caller may go on reading an answer that has no end: whoever's credential
// is taken away must not hear what happens after that, on however old a connection.
func stillMay(c *fiber.Ctx) func() bool {
	who, shown := c.Locals(callerKey).(*caller)
	return func() bool { return !shown || who.among.Holds(who.Credential, time.Now()) }
}
