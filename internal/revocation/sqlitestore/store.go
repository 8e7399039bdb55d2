// Package sqlitestore keeps revocations and replay marks in one SQLite file: the default of a single node, with nothing
// to install. Other processes may write to the file at the same time; a node sees what they wrote within milliseconds.
package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usher-im/usher/internal/revocation"
)

// Store is a revocation.Store in a SQLite file.
type Store struct {
	write *sql.DB // one connection: SQLite has one writer
	read  *sql.DB
	now   func() time.Time
	kept  uint64

	path string
	file os.FileInfo // of what was opened at path

	counted atomic.Int64 // entries when they were first counted, and one; 0 before

	// What a node asks at each heartbeat is prepared, since to parse it costs more than to answer it.
	state, changes, asking *sql.Stmt

	poll    *sql.Conn // asked for its data_version only, which tells what other connections did
	version int64
	patrol  *patrol

	mu      sync.Mutex
	changed chan struct{} // closed and made anew when somebody writes
}

var _ revocation.Store = (*Store)(nil)

// Options tunes a store. The zero value is right outside tests.
type Options struct {
	Now func() time.Time
	// KeepChanges is how many changes are kept for those who follow; 0 is 100,000.
	KeepChanges uint64
}

// Open opens the file, and makes it where there is none.
func Open(ctx context.Context, path string, opt Options) (*Store, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.KeepChanges = cmp.Or(opt.KeepChanges, 100_000)
	s := &Store{path: path, now: opt.Now, kept: opt.KeepChanges, changed: make(chan struct{})}
	if err := s.open(ctx, path); err != nil {
		s.Close()
		return nil, fmt.Errorf("open the revocation store %s: %w", path, s.remedied(err))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	// FULL: an acknowledged revocation survives a loss of power, not only of the process. The writer waits for its turn
	// in begin, and lets SQLite wait but for what is short.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate"
	if s.write, err = sql.Open("sqlite", dsn+"&_pragma=busy_timeout(5)"); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := patiently(ctx, func() error { return s.migrate(ctx) }); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", dsn+"&_pragma=busy_timeout(10000)"); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(4)
	if s.poll, err = s.read.Conn(ctx); err != nil {
		return err
	}
	if err = s.prepare(ctx); err != nil {
		return err
	}
	if _, err = s.moved(ctx); err != nil {
		return err
	}
	if s.file, err = os.Stat(path); err != nil {
		return err
	}
	s.startPatrol(path)
	return nil
}

// inPlace says whether the file is still that which was opened. One that was deleted, or replaced by a backup, takes on
// whatever is written to it and is never read again, and knows nothing of what commands write to the one in its place. It is
// still listed and exported: nothing else has what was revoked.
func (s *Store) inPlace() error {
	if s.file == nil {
		return nil // it is being opened
	}
	info, err := os.Stat(s.path)
	if err != nil || !os.SameFile(info, s.file) {
		return fmt.Errorf("%s was moved, deleted or replaced while it is in use: start the node again", s.path)
	}
	return nil
}

func (s *Store) prepare(ctx context.Context) (err error) {
	if s.state, err = s.read.PrepareContext(ctx, stateQuery); err != nil {
		return err
	}
	if s.changes, err = s.read.PrepareContext(ctx, changesQuery); err != nil {
		return err
	}
	s.asking, err = s.poll.PrepareContext(ctx, "PRAGMA data_version")
	return err
}

// Close closes the file. Nobody may be using the store any more.
func (s *Store) Close() error {
	var errs []error
	if s.patrol != nil {
		s.patrol.end()
	}
	for _, statement := range []*sql.Stmt{s.state, s.changes, s.asking} {
		if statement != nil {
			errs = append(errs, statement.Close())
		}
	}
	if s.poll != nil {
		errs = append(errs, s.poll.Close())
	}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	return errors.Join(errs...)
}
