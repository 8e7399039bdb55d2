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
		for _, sl := range s.unsealed() {
			if err := s.seal(ctx, sl, pace); err != nil && ctx.Err() == nil {
				s.opt.Logger.Warn(fmt.Sprintf("the audit file %s is not sealed yet: %v; trying again in a minute", sl.path, err))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.full:
		case <-tick.C:
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
		if head, err := readHead(sl.path); err == nil && !head.wal {
			sl.sealed.Store(true)
			continue
		}
		out = append(out, sl)
	}
	return out
}

// seal makes the indexes while queries go on, and then, with queries held up for a moment, takes the log away: the file
// is then complete by itself, and readers need no locks on it.
func (s *Store) seal(ctx context.Context, sl *slice, pace *audit.Pacer) error {
	db, err := open(sl.path, "mode=rw", "synchronous(NORMAL)", "cache_size(-16000)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if err := makeIndexes(ctx, db, pace); err != nil {
		return errors.Join(err, db.Close())
	}
	sl.use.Lock()
	defer sl.use.Unlock()
	if sl.gone {
		return db.Close()
	}
	if err := sl.closeReader(); err != nil {
		return errors.Join(err, db.Close())
	}
	var mode string
	err = db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode)
	if err == nil && mode != "delete" {
		err = errors.New("another process reads it")
	}
	sl.sealed.Store(err == nil)
	return errors.Join(err, db.Close())
}

func makeIndexes(ctx context.Context, db *sql.DB, pace *audit.Pacer) error {
	for _, statement := range indexes {
		started := time.Now()
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
		rest := time.NewTimer(pace.Rest(time.Since(started), 0))
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return ctx.Err()
		}
	}
	_, err := db.ExecContext(ctx, "INSERT OR IGNORE INTO meta SELECT 'coded', 1 WHERE (SELECT count(*) FROM dict) < ?", mostCoded)
	return err
}

// janitor deletes what is too old or too much, and closes what nobody has asked for lately.
func (s *Store) janitor(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if !s.opt.ReadOnly {
			if err := s.retain(); err != nil {
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
func (s *Store) retain() error {
	s.turnOld()
	all, _ := s.all()
	var total int64
	for _, sl := range all {
		total += sl.size()
	}
	border := uint64(max(0, s.opt.Now().Add(-s.opt.Retention).UnixMilli())) << kShift
	for len(all) > 1 {
		size := all[0].size()
		old := s.opt.Retention > 0 && all[1].first < border
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
	if head, err := readHead(all[0].path); err != nil || head.wal {
		return nil // still to be sealed
	}
	return s.drop(all[0])
}

// turnOld closes the newest slice of a quiet node.
func (s *Store) turnOld() {
	s.writing.Lock()
	defer s.writing.Unlock()
	now := s.opt.Now().UnixMilli()
	if s.writer == nil || s.writer.rows == 0 || now-int64(s.writer.slice.first>>kShift) < sliceAge.Milliseconds() {
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
