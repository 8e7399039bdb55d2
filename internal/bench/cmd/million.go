package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/usher-im/usher/internal/bench"
	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/bench/report"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/sqlitestore"
)

// millionStarts measures fresh nodes whose store holds a million revocations: the embedded store, and Redis.
func (r *run) millionStarts() error {
	many := 1_000_000
	if r.quick {
		many = 100_000
	}
	if err := r.millionInSQLite(many); err != nil {
		return err
	}
	return r.millionInRedis(many)
}

func (r *run) millionInSQLite(many int) error {
	v, data, err := r.node()
	if err != nil {
		return err
	}
	store, err := sqlitestore.Open(r.ctx, filepath.Join(data, "revocations.db"), sqlitestore.Options{})
	if err != nil {
		return err
	}
	if err := errors.Join(fillStore(r.ctx, store, many), store.Close()); err != nil {
		return err
	}
	_, err = r.fullStarts(v, strconv.Itoa(many)+" revocations in SQLite", nil)
	return err
}

func (r *run) millionInRedis(many int) error {
	dir, err := r.folder("redis")
	if err != nil {
		return err
	}
	// What fills it grows the log: to have that written anew while a node starts would be measured as well.
	server, err := redisserver.Start(r.ctx, dir, "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	client, err := redisconn.Open(&config.Redis{URL: server.URL(), Prefix: "usher:"})
	if err != nil {
		return err
	}
	err = fillStore(r.ctx, redisstore.Open(client, redisstore.Options{}), many)
	if err = errors.Join(err, client.Close()); err != nil {
		return err
	}
	v, err := r.startUsher("redis: {url: " + server.URL() + "}")
	if err != nil {
		return err
	}
	if err := v.Stop(); err != nil {
		return err
	}
	what := strconv.Itoa(many) + " revocations in Redis"
	served, err := r.fullStarts(v, what, func() (time.Duration, error) { return cpu.Of(server.PID()) })
	r.add("scale", what+": CPU of Redis for one start", "s", served, nil)
	return err
}

// fullStarts starts a node several times whose store is full, and measures how long it takes and the memory it needs.
// It gives what the store's process used for each start, by its clock.
func (r *run) fullStarts(v *verifier.Verifier, what string, clock func() (time.Duration, error)) (served []float64, err error) {
	if clock == nil {
		clock = func() (time.Duration, error) { return 0, nil }
	}
	var ready, peak, resident []float64
	for range r.rounds {
		before, err := clock()
		if err != nil {
			return nil, err
		}
		cmd, took, err := r.startup(v, 5*time.Millisecond)
		if err != nil {
			return nil, err
		}
		after, err1 := clock()
		now, most, err2 := proc.Memory(cmd.Process.Pid)
		if err := errors.Join(err1, err2, stop(cmd)); err != nil {
			return nil, err
		}
		ready, peak, resident = append(ready, took.Seconds()), append(peak, float64(most)/megabyte), append(resident, float64(now)/megabyte)
		served = append(served, (after - before).Seconds())
	}
	r.add("scale", what+": from start to ready", "s", ready, report.Most(1.5))
	r.add("scale", what+": memory, peak", "MB", peak, report.Most(150))
	r.add("scale", what+": memory when ready", "MB", resident, report.Most(150))
	return served, nil
}

func fillStore(ctx context.Context, store revocation.Store, many int) error {
	batch := make([]revocation.Revocation, 0, 10_000)
	for n := range many {
		p, err := revocation.Prepare(bench.Revocation(n), time.Now())
		if err != nil {
			return fmt.Errorf("prepare revocation %d: %w", n, err)
		}
		if batch = append(batch, p); len(batch) == cap(batch) || n == many-1 {
			if _, err := store.Revoke(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}
