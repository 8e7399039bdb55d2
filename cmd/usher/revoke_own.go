package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/intake"
	"github.com/usher-im/usher/internal/server"
)

// ownDesk is the store alone, without a node: for when none runs, or none can be asked.
type ownDesk struct {
	cfg             *config.Config
	redis           *redisconn.Client
	store           revocation.Store
	rules           *rules      // nil where they were not looked for, or cannot be opened
	looked, settled bool        // for the keys, and by key servers
	journal         *ownJournal // nil until it is needed
	streams         streams
	actor           string
}

// localActor begins the name of whoever works on the store itself.
const localActor = "local:"

func localUser() string {
	u, err := user.Current()
	if err != nil {
		return localActor + "unknown"
	}
	return localActor + u.Username
}

func openOwnDesk(ctx context.Context, c *commands, s streams) (_ desk, err error) {
	cfg, err := c.load(s)
	if err != nil {
		return nil, err
	}
	d := &ownDesk{cfg: cfg, streams: s, actor: localUser()}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if cfg.Redis == nil {
		if err := errors.Join(makeDataDir(cfg), asOwner(cfg.DataDir)); err != nil {
			return nil, err
		}
	}
	if d.redis, err = connect(cfg); err != nil {
		return nil, err
	}
	if d.store, err = openRevocations(ctx, cfg, d.redis); err != nil {
		return nil, err
	}
	return d, nil
}

// records opens the journal, which only those who write to the store need.
func (d *ownDesk) records(ctx context.Context) (err error) {
	if d.journal == nil {
		d.journal, err = openOwnJournal(ctx, d.cfg, d.redis, d.streams)
	}
	return err
}

// keyNames opens the keys, which only those who revoke one need, and waits for key servers where no file has it. What cannot
// be opened hinders nobody: there may be such a key.
func (d *ownDesk) keyNames(ctx context.Context) intake.KeyNames {
	return func(issuer, id string) (names []string, open bool) {
		if !d.looked {
			d.looked = true
			d.rules, _ = openRules(d.cfg, nil, nil, nil)
		}
		if d.rules == nil {
			return nil, true
		}
		if names, open = d.rules.namesOf(issuer, id); len(names) == 0 && open && !d.settled {
			d.settled = true
			d.rules.settle(ctx)
			return d.rules.namesOf(issuer, id)
		}
		return names, open
	}
}

func (d *ownDesk) close() {
	d.journal.close()
	if d.rules != nil {
		d.rules.close()
	}
	if d.store != nil {
		_ = d.store.Close()
	}
	if d.redis != nil {
		_ = d.redis.Close()
	}
}

func (d *ownDesk) revoke(ctx context.Context, asked []intake.Request, dryRun bool) ([]deskAnswer, error) {
	now := time.Now()
	rs, cautions, err := intake.Revocations(asked, d.cfg, d.actor, now)
	if err != nil {
		return nil, &failure{exitUsage, err}
	}
	answers, names := make([]deskAnswer, len(asked)), d.keyNames(ctx)
	// Not before it is written: a key server that is silent must not hold a revocation up.
	doubt := func() {
		for i, r := range rs {
			answers[i].Cautions = intake.Doubt(cautions[i], r, d.cfg, names)
		}
	}
	if dryRun {
		for i := range rs {
			answers[i].Revocation = rs[i]
		}
		doubt()
		return answers, d.preview(ctx, answers, names, now)
	}
	if err := d.records(ctx); err != nil {
		return nil, err
	}
	w, err := d.store.Revoke(ctx, rs)
	if err != nil {
		return nil, storeFailed("revocation", err)
	}
	for i, o := range w.Outcomes {
		answers[i].Revocation, answers[i].New, answers[i].Replicated = o.Revocation, o.New, w.Replicated
		d.journal.record(server.RevocationEvent(rs[i], o.Revocation, now))
	}
	doubt()
	return answers, nil
}

func (d *ownDesk) preview(ctx context.Context, answers []deskAnswer, keyNames intake.KeyNames, now time.Time) error {
	pseudonyms, err := openPseudonyms(d.cfg)
	if err != nil {
		return err
	}
	var events *audit.Reader // nil where there are no events yet
	if store, err := readEvents(ctx, d.cfg, d.redis, newLogger(d.cfg.Log, d.streams.err)); err == nil {
		defer store.Close()
		events = audit.NewReader(store, pseudonyms)
	}
	since := now.Add(-server.RecentTime).UTC().Truncate(time.Second)
	for i := range answers {
		answers[i].DryRun, answers[i].Since = true, since
		if events == nil {
			continue
		}
		var names []string
		if r := answers[i].Revocation; r.Selector == revocation.SelectKey {
			names, _ = keyNames(r.Issuer, r.Value)
		}
		n, more, err := server.RecentSessions(events, d.cfg, answers[i].Revocation, names, since)
		if err != nil {
			return fmt.Errorf("the audit store failed, so the sessions cannot be counted: %w", err)
		}
		answers[i].Sessions, answers[i].AtLeast = &n, more
	}
	return nil
}

func (d *ownDesk) list(ctx context.Context, q revocation.Query) (revocation.Page, error) {
	q, err := q.Prepared()
	if err != nil {
		return revocation.Page{}, &failure{exitUsage, err}
	}
	page, err := d.store.List(ctx, q)
	if errors.Is(err, revocation.ErrCursor) {
		return page, &failure{exitUsage, err}
	}
	return page, storeFailed("revocation", err)
}

func (d *ownDesk) get(ctx context.Context, id string) (revocation.Revocation, error) {
	key, ok := revocation.ParseKey(id)
	if !ok {
		return revocation.Revocation{}, revocation.ErrNotFound
	}
	r, err := d.store.Get(ctx, key)
	return r, storeFailed("revocation", err)
}

// storeFailed says whose error it is, unless it is an answer.
func storeFailed(which string, err error) error {
	if err == nil || errors.Is(err, revocation.ErrNotFound) || errors.Is(err, audit.ErrUncountable) {
		return err
	}
	return fmt.Errorf("the %s store failed: %w", which, err)
}

func (d *ownDesk) lift(ctx context.Context, id string) (deskAnswer, error) {
	key, ok := revocation.ParseKey(id)
	if !ok {
		return deskAnswer{}, revocation.ErrNotFound
	}
	if err := d.records(ctx); err != nil {
		return deskAnswer{}, err
	}
	r, w, err := d.store.Lift(ctx, key, d.actor)
	if err == nil {
		d.journal.record(server.DeskEvent(audit.Lift, r, d.actor, time.Now()))
	}
	return deskAnswer{Revocation: r, Replicated: w.Replicated}, storeFailed("revocation", err)
}
