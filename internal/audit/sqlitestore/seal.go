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
	db, err := open(sl.path, "mode=rw", "synchronous(NORMAL)")
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
	var mode string
	err := db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode)
	if err == nil && mode != "delete" {
		err = errors.New("another process reads it")
	}
	return err
}

// querier is an sql.DB, or the one connection of a writer.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// readTerms reads what an index is made from, of a slice that another process has begun or that was erased from.
func readTerms(ctx context.Context, db querier) (*terms, error) {
	var seed int64
	if err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'seed'").Scan(&seed); err != nil {
		return nil, err
	}
	all := &terms{hasher: audit.Hasher(seed)}
	rows, err := db.QueryContext(ctx, "SELECT k, coalesce(f, 0), coalesce(j, 0), coalesce(u, 0), coalesce(a, 0), coalesce(r, 0) FROM rows ORDER BY k")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k int64
		var h [audit.Terms]int64
		if err := rows.Scan(&k, &h[0], &h[1], &h[2], &h[3], &h[4]); err != nil {
			return nil, err
		}
		var hash [audit.Terms]uint32
		for i := range h {
			hash[i] = uint32(h[i])
		}
		all.add(uint64(k), hash)
	}
	return all, rows.Err()
}

// janitor deletes what is too old or too much, and closes what nobody has asked for lately.
func (s *Store) janitor(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	var clock evenness
	for {
		even := clock.lasts(s.opt.Now(), time.Now())
		if !s.opt.ReadOnly {
			if err := s.retain(even); err != nil {
				s.opt.Logger.Warn(fmt.Sprintf("old audit files cannot be deleted: %v", err))
			}
		}
		s.closeIdle()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// evenness is whether the clock can be believed. Where it jumps ahead, everything looks old at once: nothing is deleted
// for its age before the clock has run evenly for a while, which is also the time to set it right after a start.
type evenness struct {
	clock   time.Time
	running time.Time // by the clock that nobody sets
	since   time.Time
}

const (
	evenFor  = time.Hour
	jumpMost = time.Minute
)

// lasts takes what the clock says, and says whether it has run evenly for long enough.
func (e *evenness) lasts(clock, running time.Time) bool {
	clock = clock.Round(0)
	if jump := clock.Sub(e.clock) - running.Sub(e.running); e.running.IsZero() || jump.Abs() > jumpMost {
		e.since = running
	}
	e.clock, e.running = clock, running
	return running.Sub(e.since) >= evenFor
}

const idle = time.Minute

func (s *Store) closeIdle() {
	all, _ := s.all()
	border := time.Now().Add(-idle).Unix()
	for _, sl := range all {
		if sl.touched.Load() < border && sl.use.TryLock() {
			if err := sl.closeReader(); err != nil {
				s.opt.Logger.Warn(fmt.Sprintf("close %s: %v", sl.path, err))
			}
			sl.use.Unlock()
		}
	}
}

// retain deletes slices, the oldest first, while the newest row of one is too old or all take too much. The slice that
// is written to stays; when it is a day old it is closed, so that its turn comes.
func (s *Store) retain(byAge bool) error {
	s.turnOld()
	all, _ := s.all()
	var total int64
	for _, sl := range all {
		total += sl.size()
	}
	border := audit.FirstK(s.opt.Now().Add(-s.opt.Retention))
	for len(all) > 1 {
		size := all[0].size()
		old := byAge && s.opt.Retention > 0 && all[1].first < border
		large := s.opt.MaxSize > 0 && total > s.opt.MaxSize
		if !old && !large {
			return nil
		}
		if err := s.drop(all[0]); err != nil {
			return err
		}
		total -= size
		all = all[1:]
	}
	if !byAge {
		return nil
	}
	return s.dropOnly(all, border)
}

// dropOnly deletes the one slice of a node that has been quiet for as long as events are kept.
func (s *Store) dropOnly(all []*slice, border uint64) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, last := s.all()
	if s.opt.Retention == 0 || len(all) != 1 || s.writer != nil || last >= border {
		return nil
	}
	if !all[0].sealed.Load() {
		return nil
	}
	return s.drop(all[0])
}

// turnOld closes the newest slice of a quiet node.
func (s *Store) turnOld() {
	s.writing.Lock()
	defer s.writing.Unlock()
	now := s.opt.Now().UnixMilli()
	if s.writer == nil || s.writer.rows == 0 || now-audit.MillisOf(s.writer.slice.first) < sliceAge.Milliseconds() {
		return
	}
	if err := s.turn(); err != nil {
		s.opt.Logger.Warn(fmt.Sprintf("close the audit's newest file: %v", err))
	}
}

func (s *Store) drop(sl *slice) error {
	if err := sl.remove(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.slices {
		if other == sl {
			s.slices = append(s.slices[:i:i], s.slices[i+1:]...)
			break
		}
	}
	return nil
}
