package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/inquiry"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn"
)

// archive answers questions to the audit: a running node does, and so does its store read beside it.
type archive interface {
	find(ctx context.Context, scope inquiry.Scope, v inquiry.Values) (audit.Page, error)
	get(ctx context.Context, id string) (audit.Event, bool, error)
	counts(ctx context.Context, v inquiry.Values) ([]audit.Count, error)
	follow(ctx context.Context, v inquiry.Values, f func(audit.Event) error) error
	close()
}

func (n *node) archive(ctx context.Context, c *commands, s streams, offline bool) (archive, error) {
	if offline {
		cfg, err := c.load(s)
		if err != nil {
			return nil, err
		}
		return openStored(ctx, cfg, s)
	}
	cl, err := n.client(c, s)
	if err != nil {
		return nil, err
	}
	return asked{cl}, nil
}

// asked is the archive of a running node.
type asked struct{ *client }

func (a asked) close() {}

func (a asked) find(ctx context.Context, scope inquiry.Scope, v inquiry.Values) (audit.Page, error) {
	var page struct {
		Items []audit.Event `json:"items"`
		Next  string        `json:"next"`
	}
	path := "/v1/events"
	if scope.DecisionsAlone() {
		path = "/v1/decisions"
	}
	err := a.do(ctx, http.MethodGet, path+queryOf(v), nil, &page)
	return audit.Page{Events: page.Items, Next: page.Next}, err
}

func (a asked) get(ctx context.Context, id string) (audit.Event, bool, error) {
	var e audit.Event
	err := a.do(ctx, http.MethodGet, "/v1/events/"+url.PathEscape(id), nil, &e)
	var p *problemError
	if errors.As(err, &p) && p.status == http.StatusNotFound && p.kind == "event-unknown" {
		return e, false, nil
	}
	return e, err == nil && e.ID != "", err // an id that is empty, or a dot, is answered with another path's answer
}

func (a asked) counts(ctx context.Context, v inquiry.Values) ([]audit.Count, error) {
	var answer struct {
		Items []audit.Count `json:"items"`
	}
	err := a.do(ctx, http.MethodGet, "/v1/decisions/stats"+queryOf(v), nil, &answer)
	return answer.Items, err
}

// follow reads server-sent events. That the caller interrupts it is its normal end.
func (a asked) follow(ctx context.Context, v inquiry.Values, f func(audit.Event) error) error {
	resp, err := a.send(ctx, http.MethodGet, "/v1/decisions/stream"+queryOf(v), nil)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e audit.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("the answer of %s cannot be read (%w): is it an usher of this version?", a.base, err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return unlessEnded(ctx, fmt.Errorf("the node at %s does not go on telling (%w): it was stopped, or its audit store failed, and then its log says how", a.base, err))
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func queryOf(v inquiry.Values) string {
	q := url.Values{}
	for name, value := range v {
		q.Set(name, value)
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// stored is the store itself, read beside the nodes that write to it.
type stored struct {
	*audit.Reader
	store audit.Store
	redis *redisconn.Client // nil: embedded
}

func openStored(ctx context.Context, cfg *config.Config, s streams) (archive, error) {
	pseudonyms, err := openPseudonyms(cfg)
	if err != nil {
		return nil, err
	}
	redis, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	store, err := readEvents(ctx, cfg, redis, newLogger(cfg.Log, s.err))
	if err != nil {
		return nil, err
	}
	return stored{audit.NewReader(store, pseudonyms), store, redis}, nil
}

func (a stored) close() {
	_ = a.store.Close() // nothing was written
	if a.redis != nil {
		_ = a.redis.Close()
	}
}

func (a stored) find(ctx context.Context, scope inquiry.Scope, v inquiry.Values) (audit.Page, error) {
	q, err := inquiry.Query(scope, v, time.Now())
	if err != nil {
		return audit.Page{}, misused(err)
	}
	page, err := a.Query(ctx, q)
	return page, storeFailed("audit", err)
}

func (a stored) get(ctx context.Context, id string) (audit.Event, bool, error) {
	e, found, err := a.Get(ctx, id)
	return e, found, storeFailed("audit", err)
}

func (a stored) counts(ctx context.Context, v inquiry.Values) ([]audit.Count, error) {
	q, err := inquiry.Stats(v, time.Now())
	if err != nil {
		return nil, misused(err)
	}
	counts, err := a.Stats(ctx, q)
	return counts, storeFailed("audit", err)
}

func (a stored) follow(ctx context.Context, v inquiry.Values, f func(audit.Event) error) error {
	q, err := inquiry.Query(inquiry.Live, v, time.Now())
	if err != nil {
		return misused(err)
	}
	return a.Follow(ctx, q, f)
}
