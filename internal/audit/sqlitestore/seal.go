package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/usher-im/usher/internal/audit"
)

// sealer makes the indexes of slices that are full, one at a time, and tries again what did not succeed.
func (s *Store) sealer(ctx context.Context) {
	pace := audit.NewPacer()
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if err := s.recall(ctx); err != nil && ctx.Err() == nil {
			s.opt.Logger.Warn(fmt.Sprintf("the newest audit file is searched slowly until it is full: %v", err))
		}
		waiting := s.unsealed()
		for i, sl := range waiting {
			if sl.damaged.Load() {
				s.opt.Logger.Warn(fmt.Sprintf("the index of the audit file %s is damaged, and is made again: a search before now may have missed events in it", sl.path))
			}
			// Many that wait make every search slow: then less rest is taken.
			rest := func(worked time.Duration) time.Duration {
				return pace.Rest(worked, float64(len(waiting)-i)/mostUnsealed)
			}
			if err := s.seal(ctx, sl, rest); err != nil && ctx.Err() == nil {
				s.opt.Logger.Warn(fmt.Sprintf("the audit file %s is not sealed yet: %v; trying again in a minute", sl.path, err))
			}
		}
		s.rested()
		select {
		case <-ctx.Done():
			return
		case <-s.full:
		case <-tick.C:
		}
	}
}

// workMost is how much of a step's time counts as work, to be followed by a rest: waiting for the disk is none.
const workMost = 100 * time.Millisecond

// recall reads the search terms of the newest slice where the former process left none. Writing waits for it, a fifth of
// a second at most; the spill holds what comes.
func (s *Store) recall(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	w := s.writer
	if w == nil || w.rows == 0 || w.slice.terms.Load() != nil {
		return nil
	}
	t, err := readTerms(ctx, w.conn)
	if err == nil {
		w.slice.terms.Store(t)
	}
	return err
}

// mostUnsealed is how many slices may wait before sealing takes the time it needs, saturated or not.
const mostUnsealed = 8

// rested says that the sealer has nothing to do, to whoever waits in Settle.
func (s *Store) rested() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.settled)
	s.settled = make(chan struct{})
}

// Settle waits until every slice is sealed but the newest.
func (s *Store) Settle(ctx context.Context) error {
	for {
		s.mu.Lock()
		settled := s.settled
		s.mu.Unlock()
		if len(s.unsealed()) == 0 {
			return nil
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// unsealed gives every slice without indexes but the one that is written to.
func (s *Store) unsealed() []*slice {
	all, _ := s.all()
	var out []*slice
	for i, sl := range all {
		if sl.sealed.Load() || i == len(all)-1 && !sl.turned.Load() {
			continue
		}
		out = append(out, sl)
	}
	return out
}

func (s *Store) wakeSealer() {
	select {
	case s.full <- struct{}{}:
	default:
	}
}

// seal makes the indexes while queries go on, and takes the log away with queries held up for a moment: the file is
// then complete by itself, and readers need no locks on it.
func (s *Store) seal(ctx context.Context, sl *slice, rest func(time.Duration) time.Duration) error {
	s.changes.Lock()
	defer s.changes.Unlock()
	db, err := open(sl.path, "mode=rw", "synchronous(NORMAL)", "secure_delete(1)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer db.Close()
	began := time.Now()
	pause := func() error {
		t := time.NewTimer(rest(min(time.Since(began), workMost)))
		defer t.Stop()
		defer func() { began = time.Now() }()
		select {
		case <-t.C:
			return nil
		case <-s.hurry:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, statement := range []string{byClass, byWord} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if err := pause(); err != nil {
		return err
	}
	all := sl.terms.Load()
	if all == nil {
		if all, err = readTerms(ctx, db); err != nil {
			return err
		}
	}
	whole, err := coded(ctx, db)
	if err != nil {
		return err
	}
	if whole {
		all.coded = 1
	}
	if err := sl.dropLog(ctx, db); err != nil {
		return err
	}
	if err := all.write(sl.path+indexExt, pause); err != nil {
		return err
	}
	sl.use.Lock()
	defer sl.use.Unlock()
	if sl.gone {
		return os.Remove(sl.path + indexExt)
	}
	sl.sealed.Store(true)
	sl.damaged.Store(false)
	sl.terms.Store(nil)
	return sl.closeReader()
}

// dropLog makes the file complete by itself.
func (sl *slice) dropLog(ctx context.Context, db *sql.DB) error {
	sl.use.Lock()
	defer sl.use.Unlock()
	if err := sl.closeReader(); err != nil || sl.gone {
		return err
	}
	if err := sl.clean(ctx, db); err != nil {
		return err
	}
	var mode string
	err := db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode)
	if err == nil && mode != "delete" {
		err = errors.New("another process reads it")
	}
	return err
}
