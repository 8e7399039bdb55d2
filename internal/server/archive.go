package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/inquiry"
	"github.com/usher-im/usher/internal/credential"
)

// Journal takes events, and can say when those it took are where questions find them (an *audit.Pipeline).
type Journal interface {
	Recorder
	Flush(ctx context.Context) error
	Rotate() error
}

// Archive is where people ask what was decided.
type Archive struct {
	Reader  *audit.Reader
	Journal Journal
	Logger  *slog.Logger
	// Stopping ends the answers that have no end of their own.
	Stopping context.Context
}

const (
	searchTime = 50 * time.Second       // bounds one question to the store
	settleTime = 250 * time.Millisecond // bounds what a question waits for events that are on their way there
	eraseTime  = time.Hour              // bounds an erasure, which writes the files anew that have the user
)

// settle has found what was decided just before it is asked for. A store that is behind is not waited for.
func (a *Archive) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	_ = a.Journal.Flush(ctx) // the answer is what is there by then
}

// settleFor settles for a question that can be about what is on its way.
func (a *Archive) settleFor(ctx context.Context, q audit.Query, now time.Time) {
	if q.Cursor == "" && (q.Until.IsZero() || q.Until.After(now.Add(-time.Minute))) {
		a.settle(ctx)
	}
}

// Routes are the archive's paths on the admin listener.
func (a *Archive) Routes() []Route {
	reads := []credential.Role{credential.Audit}
	return []Route{
		{Method: fiber.MethodGet, Path: "/v1/decisions", Roles: reads, Handler: a.search(inquiry.Decisions)},
		{Method: fiber.MethodGet, Path: "/v1/decisions/stats", Roles: reads, Handler: a.count},
		{Method: fiber.MethodGet, Path: "/v1/decisions/stream", Roles: reads, Handler: a.stream},
		{Method: fiber.MethodGet, Path: "/v1/decisions/:id", Roles: reads, Handler: a.show(true)},
		{Method: fiber.MethodGet, Path: "/v1/events", Roles: reads, Handler: a.search(inquiry.Events)},
		{Method: fiber.MethodGet, Path: "/v1/events/:id", Roles: reads, Handler: a.show(false)},
		{Method: fiber.MethodDelete, Path: "/v1/events", Roles: []credential.Role{credential.Admin}, Handler: a.erase},
	}
}

// eventsFound is one page.
type eventsFound struct {
	Items []audit.Event `json:"items"`
	Next  string        `json:"next,omitempty"`
}

func (a *Archive) search(scope inquiry.Scope) fiber.Handler {
	return func(c *fiber.Ctx) error {
		v, err := parameters(c)
		if err != nil {
			return a.refuse(c, err)
		}
		now := time.Now()
		q, err := inquiry.Query(scope, v, now)
		if err != nil {
			return a.refuse(c, err)
		}
		ctx, cancel := context.WithTimeout(c.UserContext(), searchTime)
		defer cancel()
		a.settleFor(ctx, q, now)
		page, err := a.Reader.Query(ctx, q)
		if err != nil {
			return a.refuse(c, err)
		}
		return c.JSON(eventsFound{Items: append([]audit.Event{}, page.Events...), Next: page.Next})
	}
}

func (a *Archive) show(decisionsAlone bool) fiber.Handler {
	return func(c *fiber.Ctx) error {
		ctx, cancel := context.WithTimeout(c.UserContext(), searchTime)
		defer cancel()
		id, err := url.PathUnescape(c.Params("id"))
		if err != nil {
			id = "" // which no event has
		}
		e, found, err := a.Reader.Get(ctx, id)
		if err == nil && !found {
			a.settle(ctx)
			e, found, err = a.Reader.Get(ctx, id)
		}
		switch {
		case err != nil:
			return a.refuse(c, err)
		case !found:
			return problem(c, fiber.StatusNotFound, "event-unknown",
				"No event has this id. It may be older than audit.retention, erased, or not stored yet: then ask again in a second.")
		case decisionsAlone && e.Kind != audit.Decision:
			return problem(c, fiber.StatusNotFound, "event-unknown", "This id is of an event of kind "+string(e.Kind)+": ask for /v1/events/"+e.ID+".")
		}
		return c.JSON(e)
	}
}

func (a *Archive) count(c *fiber.Ctx) error {
	v, err := parameters(c)
	if err != nil {
		return a.refuse(c, err)
	}
	now := time.Now()
	q, err := inquiry.Stats(v, now)
	if err != nil {
		return a.refuse(c, err)
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), searchTime)
	defer cancel()
	a.settleFor(ctx, q.Query, now)
	counts, err := a.Reader.Stats(ctx, q)
	if err != nil {
		return a.refuse(c, err)
	}
	return c.JSON(fiber.Map{"items": append([]audit.Count{}, counts...)})
}

// erase is DELETE /v1/events?user=. That somebody was erased stays on record, who it was does not.
func (a *Archive) erase(c *fiber.Ctx) error {
	v, err := parameters(c)
	user := v["user"]
	if err != nil || user == "" || len(v) > 1 {
		return problem(c, fiber.StatusBadRequest, "bad-parameter", "Name the one whose events go, and nothing else: ?user=ID. Events are erased by user alone.")
	}
	ctx, cancel := context.WithTimeout(a.Stopping, eraseTime)
	defer cancel()
	// What was recorded already must be in the store, or it would come there after this.
	if err := a.Journal.Flush(ctx); err != nil {
		return a.refuse(c, err)
	}
	n, err := a.Reader.Erase(ctx, user)
	now := time.Now()
	e := audit.Event{Time: now, ID: audit.NewID(now), Kind: audit.Admin, Actor: Actor(c), Outcome: "erased", Detail: fmt.Sprintf("%d events of one user were erased", n)}
	if err != nil {
		e.Outcome, e.Detail = "failed", e.Detail+", then the store failed"
	}
	err = errors.Join(err, a.Journal.Rotate())
	a.Journal.Record(e)
	// With a newer event in the store nothing of the spill is taken for missing at the next start.
	if err = errors.Join(err, a.Journal.Flush(ctx)); err != nil {
		return a.refuse(c, err)
	}
	return c.JSON(fiber.Map{"erased": n})
}

// parameters copies the query: its bytes are fiber's, and used again.
func parameters(c *fiber.Ctx) (inquiry.Values, error) {
	v := inquiry.Values{}
	var twice error
	c.Context().QueryArgs().VisitAll(func(name, value []byte) {
		if _, ok := v[string(name)]; ok {
			twice = &inquiry.Fault{Parameter: audit.Clean(string(name)), Remedy: "it stands twice: give it once"}
		}
		v[string(name)] = string(value)
	})
	return v, twice
}

// refuse answers what was wrong with a question, or that nobody can answer it now.
func (a *Archive) refuse(c *fiber.Ctx, err error) error {
	var f *inquiry.Fault
	switch {
	case errors.As(err, &f):
		return problem(c, fiber.StatusBadRequest, "bad-parameter", f.Error())
	case errors.Is(err, audit.ErrCursor):
		return problem(c, fiber.StatusBadRequest, "bad-parameter", "cursor: "+err.Error())
	case errors.Is(err, audit.ErrUncountable):
		return problem(c, fiber.StatusBadRequest, "bad-parameter", "every: "+err.Error())
	}
	a.Logger.Error("the audit store did not answer a question: "+err.Error(), "path", c.Route().Path)
	c.Set(fiber.HeaderRetryAfter, "5")
	return problem(c, fiber.StatusServiceUnavailable, "audit-unavailable", "The audit store failed; the log of this node says why. Try again.")
}
