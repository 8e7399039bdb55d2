package server

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/intake"
	"github.com/usher-im/usher/internal/token"
)

// oauthError is the error answer of RFC 6749, section 5.2, which RFC 7009 and RFC 7662 take over.
func oauthError(c *fiber.Ctx, status int, code, description string) error {
	return c.Status(status).JSON(fiber.Map{"error": code, "error_description": description})
}

// formToken is the one token of a form, without the end of the line that it was in a file; a token in the URL is not looked
// at, for logs would keep it.
func formToken(c *fiber.Ctx) (string, bool) {
	if mediaType, _, _ := strings.Cut(c.Get(fiber.HeaderContentType), ";"); !strings.EqualFold(strings.TrimSpace(mediaType), fiber.MIMEApplicationForm) {
		return "", false
	}
	c.Request().Header.SetContentType(fiber.MIMEApplicationForm) // fasthttp knows it in lower case alone
	tokens := c.Request().PostArgs().PeekMulti("token")
	if len(tokens) != 1 {
		return "", false
	}
	raw := strings.TrimSpace(string(tokens[0]))
	return raw, raw != ""
}

// oauthRevoke is RFC 7009. What is no token is answered like one that was revoked (section 2.2): for who sent it, it is
// of no use either way.
func (d *Desk) oauthRevoke(c *fiber.Ctx) error {
	raw, ok := formToken(c)
	if !ok {
		return oauthError(c, fiber.StatusBadRequest, "invalid_request", "Send one token as a form: token=…")
	}
	if _, isToken := token.FingerprintOf(raw); !isToken {
		return c.SendStatus(fiber.StatusOK)
	}
	now := time.Now()
	q := intake.Request{Selector: revocation.SelectToken, Value: raw, Reason: string(c.Request().PostArgs().Peek("reason"))}
	r, cautions, err := q.Revocation(d.Config(), Actor(c), now)
	if err != nil {
		return oauthError(c, fiber.StatusBadRequest, "invalid_request", sentence(err))
	}
	_, replicated, err := d.write([]revocation.Revocation{r}, [][]string{cautions}, now)
	switch {
	case err != nil:
		c.Set(fiber.HeaderRetryAfter, "1")
		return oauthError(c, fiber.StatusServiceUnavailable, "temporarily_unavailable", "The revocation store failed; ask again.")
	case !replicated: // 200 would say that it is revoked for good
		return c.SendStatus(fiber.StatusAccepted)
	}
	return c.SendStatus(fiber.StatusOK)
}

// introspection is the answer of RFC 7662, section 2.2. A token that is not active has no other member.
type introspection struct {
	Active    bool            `json:"active"`
	TokenType string          `json:"token_type,omitempty"`
	Issuer    string          `json:"iss,omitempty"`
	Subject   string          `json:"sub,omitempty"`
	Audience  json.RawMessage `json:"aud,omitempty"`
	JTI       string          `json:"jti,omitempty"`
	Expires   int64           `json:"exp,omitempty"`
	IssuedAt  int64           `json:"iat,omitempty"`
	NotBefore int64           `json:"nbf,omitempty"`
	// Profile is whose rules take the token.
	Profile string `json:"profile,omitempty"`
}

// introspect is RFC 7662: would the token be let in now, by the profile or host that the form names, else by any? Where sub
// must be the host that asks and the form names none, as nobody does who speaks that RFC alone, it is the host that sub names,
// by the host's own profile where it has one. It is no decision and claims no jti.
func (d *Desk) introspect(c *fiber.Ctx) error {
	raw, ok := formToken(c)
	if !ok {
		return oauthError(c, fiber.StatusBadRequest, "invalid_request", "Send one token as a form: token=…, and profile=… or host=… where there are several.")
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	door, unavailable := d.Door(), false
	qs := d.introspectionQuestions(c, raw)
	for _, q := range qs {
		e := door.Explain(ctx, &q, time.Now())
		owns := func(other decide.Question) bool {
			return other.Profile != q.Profile && strings.EqualFold(other.Profile, e.Claims.Subject)
		}
		if e.Allow || e.HostMissing && !slices.ContainsFunc(qs, owns) {
			return c.JSON(introspected(&e, q.Profile))
		}
		unavailable = unavailable || e.Reason.Info().Unavailable
		if e.Reason == reason.ProfileUnknown {
			return oauthError(c, fiber.StatusBadRequest, "invalid_request", "There is no such profile.")
		}
	}
	if unavailable {
		c.Set(fiber.HeaderRetryAfter, "1")
		return oauthError(c, fiber.StatusServiceUnavailable, "temporarily_unavailable", "Whether the token is good cannot be told at the moment; ask again.")
	}
	return c.JSON(introspection{})
}

func (d *Desk) introspectionQuestions(c *fiber.Ctx, raw string) (qs []decide.Question) {
	args := c.Request().PostArgs()
	host, profile := string(args.Peek("host")), string(args.Peek("profile"))
	if host != "" || profile != "" {
		return []decide.Question{{Token: raw, Stage: decide.Connect, Host: host, Profile: profile}}
	}
	for name := range d.Config().Profiles {
		qs = append(qs, decide.Question{Token: raw, Stage: decide.Connect, Profile: name})
	}
	slices.SortFunc(qs, func(a, b decide.Question) int { return strings.Compare(a.Profile, b.Profile) })
	return qs
}

// introspected tells the claims of a token that has just been let in, as they were judged: another reader of JSON might
// see others in the same text.
func introspected(e *decide.Explanation, profile string) introspection {
	out := introspection{Active: true, TokenType: "Bearer", Profile: profile}
	if e.Claims == nil {
		return out
	}
	out.Issuer, out.Subject, out.JTI = e.Claims.Issuer, e.Claims.Subject, e.Claims.JTI
	out.Audience, _ = e.Claims.Lookup("aud")
	// In seconds (RFC 7519, section 2), whatever the issuer writes.
	out.Expires, out.IssuedAt, out.NotBefore = e.Times.Expires/1000, e.Times.IssuedAt/1000, e.Times.NotBefore/1000
	return out
}
