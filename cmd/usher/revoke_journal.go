package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/server"
)

// ownJournal records what is done to the store without a node. An embedded audit has one writer: where a node runs, the
// node records what it sees done (see witness), else the command does.
type ownJournal struct {
	pipeline *audit.Pipeline // nil: a node records
	events   audit.Store
	release  func()
	err      io.Writer
	any      bool // something was recorded
	gone     bool // what is not stored when the command ends is stored by nobody
}

// journalTime bounds how long a command waits for its events to be stored.
const journalTime = 10 * time.Second

func openOwnJournal(ctx context.Context, cfg *config.Config, redis *redisconn.Client, s streams) (*ownJournal, error) {
	j := &ownJournal{release: func() {}, err: s.err}
	pseudonyms, err := openPseudonyms(cfg)
	if err != nil {
		return nil, err
	}
	log := newLogger(cfg.Log, s.err)
	node, dir := "", spillDir(cfg)
	if redis != nil {
		// Beside a node that runs here the command is a writer of its own, with a spill of its own.
		host, _ := os.Hostname()
		node = host + "-cli-" + strings.ToLower(rand.Text()[:8])
		if dir, err = os.MkdirTemp("", "usher-"); err != nil { // a container of which data_dir alone can be written
			dir, err = os.MkdirTemp(cfg.DataDir, ".cli-")
		}
		if err != nil {
			return nil, err
		}
		j.release, j.gone = func() { os.RemoveAll(dir) }, true
	} else if serves, err := j.takeTurn(ctx, cfg.DataDir); err != nil || serves {
		return j, err
	} else if node, err = nodeName(cfg.DataDir); err != nil {
		return j, err
	}
	if j.events, err = openEvents(ctx, cfg, redis, node, log); err != nil {
		return j, err
	}
	j.pipeline, err = audit.Open(ctx, j.events, audit.Options{
		Dir: dir, SpillMax: int64(cfg.Audit.SpillMax), Node: node, Names: cfg.Audit.Names, Pseudonyms: pseudonyms, Logger: log,
	})
	return j, err
}

// takeTurn waits for other commands, then locks data_dir, unless a node serves from it: what is locked then is a node's.
func (j *ownJournal) takeTurn(ctx context.Context, dir string) (serves bool, err error) {
	turn, err := takeTurn(ctx, dir)
	if err != nil {
		return false, err
	}
	release, err := lockDataDir(dir)
	if err != nil {
		return true, turn.Close()
	}
	j.release = func() { release(); turn.Close() }
	return false, nil
}

func (j *ownJournal) record(e audit.Event) {
	if j.pipeline != nil {
		j.any = true
		j.pipeline.Record(e)
	}
}

func (j *ownJournal) close() {
	if j == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), journalTime)
	defer cancel()
	if j.pipeline != nil {
		err := j.pipeline.Close(ctx)
		switch {
		case err == nil || !j.any:
		case j.gone:
			fmt.Fprintln(j.err, "warning: this is done, but not in the audit, nor will it be:", err)
		default:
			fmt.Fprintln(j.err, "warning: this is not in the audit yet:", err)
		}
	}
	if j.events != nil {
		_ = j.events.Close()
	}
	j.release()
}

// witness records in a node's audit what commands do to its embedded store beside it.
type witness struct {
	pipeline atomic.Pointer[audit.Pipeline]
}

func (w *witness) saw(c revocation.Change) {
	p := w.pipeline.Load()
	if p == nil || !strings.HasPrefix(c.Actor, localActor) {
		return
	}
	r := revocation.Revocation{ID: c.Entry.Key.String(), Selector: c.Entry.Selector}
	kind := audit.Lift
	if !c.Lifted {
		kind = audit.Revocation
		if c.Revocation != nil {
			r = *c.Revocation
		}
	}
	p.Record(server.DeskEvent(kind, r, c.Actor, time.Now()))
}
