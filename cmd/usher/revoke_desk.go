package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/intake"
)

// desk is where revocations are made and read: a running node has one, and so has the store alone.
type desk interface {
	revoke(ctx context.Context, asked []intake.Request, dryRun bool) ([]deskAnswer, error)
	list(ctx context.Context, q revocation.Query) (revocation.Page, error)
	get(ctx context.Context, id string) (revocation.Revocation, error)
	lift(ctx context.Context, id string) (deskAnswer, error)
	close()
}

// deskAnswer is what became of one request, as POST /v1/revocations answers it.
type deskAnswer struct {
	revocation.Revocation
	New        bool      `json:"new"`
	Replicated bool      `json:"replicated"`
	Cautions   []string  `json:"cautions,omitempty"`
	DryRun     bool      `json:"dry_run,omitempty"`
	Sessions   *int      `json:"sessions,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	AtLeast    bool      `json:"at_least,omitempty"`
}

func (a *atDesk) desk(ctx context.Context, c *commands, s streams) (desk, error) {
	if a.Offline {
		return openOwnDesk(ctx, c, s)
	}
	cl, err := a.client(c, s)
	if err != nil {
		return nil, err
	}
	return askedDesk{cl}, nil
}

// askedDesk is that of a running node.
type askedDesk struct{ *client }

func (d askedDesk) close() {}

func (d askedDesk) revoke(ctx context.Context, asked []intake.Request, dryRun bool) ([]deskAnswer, error) {
	var out struct {
		Items []deskAnswer `json:"items"`
	}
	err := d.do(ctx, http.MethodPost, "/v1/revocations", map[string]any{"items": asked, "dry_run": dryRun}, &out)
	return out.Items, mistaken(err)
}

func (d askedDesk) list(ctx context.Context, q revocation.Query) (page revocation.Page, err error) {
	v := url.Values{}
	for name, value := range map[string]string{
		"selector": string(q.Selector), "issuer": q.Issuer, "value": q.Value, "actor": q.Actor, "cursor": q.Cursor,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out struct {
		Items []revocation.Revocation `json:"items"`
		Next  string                  `json:"next"`
	}
	err = d.do(ctx, http.MethodGet, "/v1/revocations?"+v.Encode(), nil, &out)
	return revocation.Page{Items: out.Items, Next: out.Next}, mistaken(err)
}

// get and lift ask for what is an id alone: without one, or with one that steers the path, another path would answer.
func (d askedDesk) get(ctx context.Context, id string) (r revocation.Revocation, err error) {
	if _, ok := revocation.ParseKey(id); !ok {
		return r, revocation.ErrNotFound
	}
	err = d.do(ctx, http.MethodGet, "/v1/revocations/"+url.PathEscape(id), nil, &r)
	return r, err
}

func (d askedDesk) lift(ctx context.Context, id string) (a deskAnswer, err error) {
	if _, ok := revocation.ParseKey(id); !ok {
		return a, revocation.ErrNotFound
	}
	err = d.do(ctx, http.MethodDelete, "/v1/revocations/"+url.PathEscape(id), nil, &a)
	return a, err
}

// mistaken marks what a node calls a bad request as the caller's mistake.
func mistaken(err error) error {
	var p *problemError
	if errors.As(err, &p) && p.status == http.StatusBadRequest {
		return &failure{exitUsage, err}
	}
	return err
}

// absent says that there is no such revocation, whoever was asked.
func absent(err error) bool {
	var p *problemError
	return errors.Is(err, revocation.ErrNotFound) || errors.As(err, &p) && p.kind == "no-such-revocation"
}
