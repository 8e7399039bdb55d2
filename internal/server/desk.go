package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/intake"
)

// Desk is where revocations are made, read and taken back: our own API, and the two that OAuth clients speak.
type Desk struct {
	Ledger *revocation.Ledger
	Audit  Recorder
	// Config and Door are those in force now.
	Config   func() *config.Config
	Door     func() *decide.Door
	KeyNames intake.KeyNames
	// Recent finds what was decided lately, for dry runs; nil where nobody can say.
	Recent *audit.Reader
}

// batchMost bounds one request; the CLI sends a long list in parts.
const batchMost = 1000

// storeTime bounds a request to the store. It rides out a failover for less.
const storeTime = 10 * time.Second

// Routes are the desk's paths on the admin listener.
func (d *Desk) Routes() []Route {
	reads := []credential.Role{credential.Audit, credential.Revoke}
	writes := []credential.Role{credential.Revoke}
	return []Route{
		{Method: fiber.MethodPost, Path: "/v1/revocations", Roles: writes, Body: 4 * mib, Handler: d.revoke},
		{Method: fiber.MethodGet, Path: "/v1/revocations", Roles: reads, Handler: d.list},
		{Method: fiber.MethodGet, Path: "/v1/revocations/:id", Roles: reads, Handler: d.show},
		{Method: fiber.MethodDelete, Path: "/v1/revocations/:id", Roles: writes, Handler: d.lift},
		{Method: fiber.MethodPost, Path: "/oauth/revoke", Roles: writes, Body: largestToken + aroundToken, Handler: d.oauthRevoke},
		{Method: fiber.MethodPost, Path: "/oauth/introspect", Roles: []credential.Role{credential.Verify}, Body: largestToken + aroundToken, Handler: d.introspect},
	}
}

// revocationsAsked is the body of POST /v1/revocations: one request, or many as items.
type revocationsAsked struct {
	intake.Request
	Items  []intake.Request `json:"items"`
	DryRun bool             `json:"dry_run"`
}

// written is a revocation as the store now has it.
type written struct {
	revocation.Revocation
	// New: it was not known before.
	New bool `json:"new"`
	// Replicated: the store will not lose it. False: it took it, but no replica has it yet, or it writes no log.
	Replicated bool `json:"replicated"`
	// Cautions are what should be thought of.
	Cautions []string `json:"cautions,omitempty"`
}

func (d *Desk) revoke(c *fiber.Ctx) error {
	if hasParameters(c) {
		return badRevocation(c, "There are no parameters here: dry_run and all else are members of the body.")
	}
	var in revocationsAsked
	if detail := readRevocations(c.Request().Body(), &in); detail != "" {
		return badRevocation(c, detail)
	}
	asked, many := in.Items, true
	if in.Items == nil {
		asked, many = []intake.Request{in.Request}, false
	}
	if len(asked) > batchMost {
		return badRevocation(c, fmt.Sprintf("At most %d items go into one request; send the rest in the next.", batchMost))
	}
	now := time.Now()
	cfg := d.Config()
	rs, cautions, err := intake.Revocations(asked, cfg, Actor(c), now)
	if err != nil {
		return badRevocation(c, sentence(err))
	}
	for i, r := range rs {
		cautions[i] = intake.Doubt(cautions[i], r, cfg, d.KeyNames)
	}
	if in.DryRun {
		return d.dryRun(c, rs, cautions, many, now)
	}
	done, replicated, err := d.write(rs, cautions, now)
	if err != nil {
		return storeDown(c, err)
	}
	status := fiber.StatusOK
	switch {
	case !replicated:
		status = fiber.StatusAccepted
	case !many && done[0].New:
		status = fiber.StatusCreated
	}
	if many {
		return c.Status(status).JSON(fiber.Map{"items": done, "replicated": replicated})
	}
	return c.Status(status).JSON(done[0])
}

// readRevocations says what is wrong with a body. A member that is misspelt is not passed over: a revocation that was to
// spare later tokens, or to end, would be one of everything for ever.
func readRevocations(body []byte, in *revocationsAsked) (detail string) {
	const form = "a JSON object with selector, value and, where it needs one, issuer; or many of them as items"
	if !utf8.Valid(body) { // it would be read as other text, and another name revoked
		return "The body is not UTF-8: send " + form + "."
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(in); err != nil {
		if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
			return "There is no member " + audit.Clean(name) + ": they are selector, value, issuer, issued_before, expires_at, reason, items and dry_run."
		}
		return "Send " + form + "."
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "Send " + form + ", and nothing after it."
	}
	switch {
	case in.Items == nil:
	case len(in.Items) == 0:
		return "There is nothing in items: send " + form + "."
	case in.Request != intake.Request{}:
		return "Beside items only dry_run has a meaning: write all else into each of the items."
	}
	return ""
}

// hasParameters: one such as dry_run must not be passed over where something is done.
func hasParameters(c *fiber.Ctx) bool { return c.Context().QueryArgs().Len() > 0 }

// write revokes, and tells the audit who did.
func (d *Desk) write(rs []revocation.Revocation, cautions [][]string, now time.Time) ([]written, bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	w, err := d.Ledger.Revoke(ctx, rs)
	if err != nil {
		return nil, false, err
	}
	done := make([]written, len(rs))
	for i, o := range w.Outcomes {
		done[i] = written{Revocation: o.Revocation, New: o.New, Replicated: w.Replicated, Cautions: cautions[i]}
		d.Audit.Record(RevocationEvent(rs[i], o.Revocation, now))
	}
	return done, w.Replicated, nil
}

// revocationsFound is one page.
type revocationsFound struct {
	Items []revocation.Revocation `json:"items"`
	Next  string                  `json:"next,omitempty"`
}

func (d *Desk) list(c *fiber.Ctx) error {
	v, err := parameters(c)
	if err != nil {
		return badRevocation(c, sentence(err))
	}
	for name := range v {
		if !slices.Contains([]string{"selector", "issuer", "value", "actor", "cursor", "limit"}, name) {
			return badRevocation(c, "There is no parameter "+audit.Clean(name)+": they are selector, issuer, value, actor, cursor and limit.")
		}
	}
	q := revocation.Query{
		Selector: revocation.Selector(v["selector"]), Issuer: v["issuer"], Value: v["value"], Actor: v["actor"], Cursor: v["cursor"],
	}
	if text := v["limit"]; text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return badRevocation(c, "limit is a number from 1 to 1000.")
		}
		q.Limit = n
	}
	q, err = q.Prepared()
	if err != nil {
		return badRevocation(c, sentence(err))
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	page, err := d.Ledger.Store().List(ctx, q)
	if errors.Is(err, revocation.ErrCursor) {
		return problem(c, fiber.StatusBadRequest, "bad-cursor", sentence(err))
	}
	if err != nil {
		return storeDown(c, err)
	}
	return c.JSON(revocationsFound{Items: append([]revocation.Revocation{}, page.Items...), Next: page.Next})
}

func (d *Desk) show(c *fiber.Ctx) error {
	key, ok := revocation.ParseKey(strings.ToLower(c.Params("id")))
	if !ok {
		return noRevocation(c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	r, err := d.Ledger.Store().Get(ctx, key)
	if errors.Is(err, revocation.ErrNotFound) {
		return noRevocation(c)
	}
	if err != nil {
		return storeDown(c, err)
	}
	return c.JSON(r)
}

func (d *Desk) lift(c *fiber.Ctx) error {
	if hasParameters(c) {
		return badRevocation(c, "There are no parameters here: what the path names is lifted.")
	}
	key, ok := revocation.ParseKey(strings.ToLower(c.Params("id")))
	if !ok {
		return noRevocation(c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	r, w, err := d.Ledger.Lift(ctx, key, Actor(c))
	if errors.Is(err, revocation.ErrNotFound) {
		return noRevocation(c)
	}
	if err != nil {
		return storeDown(c, err)
	}
	d.Audit.Record(DeskEvent(audit.Lift, r, Actor(c), time.Now()))
	status := fiber.StatusOK
	if !w.Replicated {
		status = fiber.StatusAccepted
	}
	return c.Status(status).JSON(written{Revocation: r, Replicated: w.Replicated})
}

func badRevocation(c *fiber.Ctx, detail string) error {
	return problem(c, fiber.StatusBadRequest, "bad-revocation", detail)
}

func noRevocation(c *fiber.Ctx) error {
	return problem(c, fiber.StatusNotFound, "no-such-revocation", "There is no revocation with this id: it was lifted, has expired, or never was. `usher revoke list` shows what there is.")
}

// storeDown says what the store said: it may be silent, full, or refuse us.
func storeDown(c *fiber.Ctx, err error) error {
	c.Set(fiber.HeaderRetryAfter, "1")
	says := "The revocation store failed (" + err.Error() + "). "
	if m := c.Method(); m == fiber.MethodGet || m == fiber.MethodHead {
		says += "Try again."
	} else {
		says += "Whether it took this is not known; asking again does no harm."
	}
	return problem(c, fiber.StatusServiceUnavailable, "store-unavailable", says)
}

// sentence makes a sentence of an error.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
