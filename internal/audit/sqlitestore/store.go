// Package sqlitestore keeps the audit of one node in SQLite files.
//
// Events lie in slices: files of up to 100,000 rows, named by the lowest key that they may hold. Only the newest is
// written to, and it has no index, so that an insert costs next to nothing; when it is full it is sealed, which makes
// its indexes in one go, and never written to again. Retention deletes whole files. Measured at 10 million rows against
// one table with six indexes: a twelfth of the work for an event, less than half the bytes.
package sqlitestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite" // the driver, pure Go
	sqlite3 "modernc.org/sqlite/lib"
)

// Options sets up a Store.
type Options struct {
	// Retention is how old events may grow, MaxSize how many bytes all may take; 0 means no bound.
	Retention time.Duration
	MaxSize   int64
	// ReadOnly opens what another process writes.
	ReadOnly bool
	// SliceRows is how many rows a slice takes; 0 means 100,000.
	SliceRows int
	Logger    *slog.Logger
	Now       func() time.Time
}

// Store keeps events in a folder.
type Store struct {
	dir string
	opt Options

	mu     sync.Mutex
	slices []*slice // oldest first
	last   uint64
	grown  chan struct{} // closed and made anew when rows were added

	writing sync.Mutex    // one writer at a time: Append, Last, Erase, Close
	changes sync.Mutex    // one of Erase and the sealer; taken before writing
	hurry   chan struct{} // ends a rest of the sealer
	writer  *writer
	full    chan struct{} // a slice is to be sealed
	settled chan struct{} // closed and made anew when the sealer has nothing to do
	stop    context.CancelFunc
	work    sync.WaitGroup
}

const (
	sliceRows = 100_000
	sliceAge  = 24 * time.Hour // a quiet node's slice is closed after this, so that retention can delete it
	sliceExt  = ".audit"
	newExt    = ".new" // of a file that is being made
)

// Open opens the folder, brings older files forward, and refuses newer ones.
func Open(ctx context.Context, dir string, opt Options) (*Store, error) {
	opt.SliceRows = cmp.Or(opt.SliceRows, sliceRows)
	opt.Logger = cmp.Or(opt.Logger, slog.Default())
	if opt.Now == nil {
		opt.Now = time.Now
	}
	s := &Store{dir: dir, opt: opt, grown: make(chan struct{}), full: make(chan struct{}, 1), settled: make(chan struct{}), hurry: make(chan struct{})}
	if !opt.ReadOnly {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the audit's folder: %w", err)
		}
	}
	if err := s.list(); err != nil {
		return nil, err
	}
	if !opt.ReadOnly {
		if err := s.sweep(); err != nil {
			return nil, err
		}
	}
	for _, sl := range s.slices { // all at once: a cold disk is slow one by one
		want(sl.path+indexExt, headSize)
	}
	for _, sl := range s.slices {
		if err := sl.bringForward(ctx, opt.ReadOnly); err != nil {
			return nil, remedied(err)
		}
	}
	if err := s.steadily(func() error { return s.findLast(ctx) }); err != nil {
		return nil, remedied(err)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	if !opt.ReadOnly {
		s.work.Go(func() { s.sealer(background) })
	}
	s.work.Go(func() { s.janitor(background) })
	return s, nil
}

// list finds the slices of the folder.
func (s *Store) list() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("read the audit's folder: %w; has `usher serve` run here?", err)
	}
	known := map[uint64]*slice{}
	for _, sl := range s.slices {
		known[sl.first] = sl
	}
	s.slices = nil
	for _, e := range entries {
		first, ok := sliceName(e.Name())
		if !ok {
			continue
		}
		sl := known[first]
		if sl == nil {
			sl = &slice{path: filepath.Join(s.dir, e.Name()), first: first, foreign: s.opt.ReadOnly}
		}
		s.slices = append(s.slices, sl)
	}
	slices.SortFunc(s.slices, func(a, b *slice) int { return strings.Compare(a.path, b.path) })
	return nil
}

// sweep deletes what a crash left unfinished.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), newExt) {
			err = errors.Join(err, os.Remove(filepath.Join(s.dir, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("clear the audit's folder up: %w", err)
	}
	return nil
}

func sliceName(name string) (uint64, bool) {
	hex, ok := strings.CutSuffix(name, sliceExt)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	first, err := strconv.ParseUint(hex, 16, 64)
	return first, err == nil
}

// findLast reads the newest key. An empty newest slice still says by its name where counting goes on.
func (s *Store) findLast(ctx context.Context) error {
	if len(s.slices) == 0 {
		return nil
	}
	newest := s.slices[len(s.slices)-1]
	s.last = newest.first - 1
	r, release, err := newest.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	var k int64
	if err := r.db.QueryRowContext(ctx, "SELECT coalesce(max(k), 0) FROM rows").Scan(&k); err != nil {
		return fmt.Errorf("read %s: %w", newest.path, err)
	}
	s.last = max(s.last, uint64(k))
	return nil
}

// remedied says what helps where a file is damaged.
func remedied(err error) error {
	var failed *sqlite.Error
	if errors.As(err, &failed) && (failed.Code()&0xff == sqlite3.SQLITE_CORRUPT || failed.Code()&0xff == sqlite3.SQLITE_NOTADB) {
		return fmt.Errorf("%w: stop usher and move the file and what else begins with its name out of the folder, it starts with the rest", err)
	}
	return err
}

// all gives the slices, oldest first, and the last key.
func (s *Store) all() ([]*slice, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.slices), s.last
}

// growth is closed when rows are added after this call.
func (s *Store) growth() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grown
}

// Close lets go of the files. Slices that wait to be sealed are sealed by the next process.
func (s *Store) Close() error {
	s.stop()
	s.work.Wait()
	s.writing.Lock()
	defer s.writing.Unlock()
	var err error
	if s.writer != nil {
		err = errors.Join(s.writer.leave(), s.writer.close())
		s.writer = nil
	}
	all, _ := s.all()
	for _, sl := range all {
		err = errors.Join(err, sl.shut())
	}
	return err
}
