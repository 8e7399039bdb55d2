package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usher-im/usher/internal/audit"
	auditsqlite "github.com/usher-im/usher/internal/audit/sqlitestore"
	"github.com/usher-im/usher/internal/bench"
	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/bench/floor"
	"github.com/usher-im/usher/internal/bench/load"
	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/memory"
	"github.com/usher-im/usher/internal/server"
	"github.com/usher-im/usher/internal/token"
)

// loadCmd does the job on stdin and writes what it saw to stdout.
type loadCmd struct{}

func (*loadCmd) Run() error {
	var j load.Job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	result, err := load.Run(j)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// floorCmd is a bare handler, with or without the bare check of signatures.
type floorCmd struct {
	Core  int    `default:"-1"`
	Keys  string `help:"Folder of the fixture's keys: check signatures."`
	Heads map[string]string

	Profiles string
}

func (c *floorCmd) Run(ctx context.Context) error {
	if err := cpu.KeepTo(c.Core); err != nil {
		return err
	}
	memory.Govern() // the collector's pace is no part of the comparison
	var keys map[string]any
	if c.Keys != "" {
		keys = map[string]any{}
		for name, head := range c.Heads {
			alg := token.Algorithm(name)
			public, err := fixture.ReadKey(c.Keys, alg)
			if err != nil {
				return err
			}
			keys[head] = floor.KeyFor(alg, public)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	done, err := profiled(c.Profiles)
	if err != nil {
		return err
	}
	fmt.Println(ready + ln.Addr().String())
	return errors.Join(floor.Serve(ctx, ln, keys), done())
}

// serveCmd is the verifier with its listeners, as `usher serve` puts it together, but with an audit that can be left
// out: what that costs has rows of its own.
type serveCmd struct {
	Core        int `default:"-1"`
	Dir         string
	Keys        string
	Audit       bool
	Revocations int
	Redis       string
	Strict      bool
	Profiles    string
}

func (c *serveCmd) Run(ctx context.Context) (err error) {
	if err := cpu.KeepTo(c.Core); err != nil {
		return err
	}
	memory.Govern()
	h, err := bench.Open(ctx, bench.Options{
		Dir: c.Dir, Keys: c.Keys, RedisURL: c.Redis, Strict: c.Strict,
		Listeners: "listen: 127.0.0.1:0\nadmin: {listen: \"127.0.0.1:0\"}",
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := bench.FillIndex(h.Ledger.Index(), c.Revocations); err != nil {
		return err
	}
	record, closeAudit, err := c.recorder(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAudit()) }()
	who, err := credential.Open(c.Dir)
	if err != nil {
		return err
	}
	s, err := server.New(server.Options{
		Config: h.Config, Door: h.Door, Audit: record, Feed: h.Ledger.Feed(), Credentials: who,
		Registry: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Ready: func() (string, error) { return "", nil },
	})
	if err != nil {
		return err
	}
	done, err := profiled(c.Profiles)
	if err != nil {
		return err
	}
	fmt.Println(ready + s.VerifyAddress())
	return errors.Join(s.Run(ctx), done())
}

// unrecorded is an audit that is off.
type unrecorded struct{}

func (unrecorded) Record(audit.Event) {}

func (c *serveCmd) recorder(ctx context.Context) (server.Recorder, func() error, error) {
	if !c.Audit {
		return unrecorded{}, func() error { return nil }, nil
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	store, err := auditsqlite.Open(ctx, filepath.Join(c.Dir, "audit"), auditsqlite.Options{Logger: log})
	if err != nil {
		return nil, nil, err
	}
	p, err := audit.Open(ctx, store, audit.Options{Dir: filepath.Join(c.Dir, "spill"), SpillMax: 1 << 30, Logger: log})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return p, func() error { return errors.Join(p.Close(context.WithoutCancel(ctx)), store.Close()) }, nil
}
