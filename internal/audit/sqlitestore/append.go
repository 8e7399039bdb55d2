package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/usher-im/usher/internal/audit"
)

// writer is the newest slice, open for appending.
type writer struct {
	slice  *slice
	db     *sql.DB
	conn   *sql.Conn  // the one that db has
	many   *statement // insertRows rows at once
	one    *statement
	word   *statement
	tally  *statement
	hasher audit.Hasher
	dict   dict
	rows   int
	hashes [][audit.Terms]uint32 // of the rows of one transaction
	packed []byte                // the coded rows of one statement
	counts map[count]int64
}

const insertRows = 50

// logPages is about how many pages of 16 KiB the log of a slice takes: 16 MiB, for each copying back costs; and a quarter of
// that where audit.max_size is small, for which they count.
func (s *Store) logPages() int {
	if s.opt.MaxSize > 0 && s.opt.MaxSize < 1<<30 {
		return 256
	}
	return 1024
}

type count struct {
	t   int64
	by  string
	key string
}

var errReadOnly = errors.New("the audit store is open for reading only")

// Append implements audit.Store.
func (s *Store) Append(ctx context.Context, rows []audit.Row) error {
	if s.opt.ReadOnly {
		return errReadOnly
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	_, last := s.all()
	for len(rows) > 0 && rows[0].K <= last {
		rows = rows[1:]
	}
	for len(rows) > 0 {
		w, err := s.write(ctx, rows[0].K)
		if err != nil {
			return err
		}
		part := rows[:min(len(rows), s.opt.SliceRows-w.rows)]
		if err := w.append(ctx, part); err != nil {
			// What the file has and what we think it has may differ now: begin anew from the file.
			err = errors.Join(remedied(fmt.Errorf("write to %s: %w", w.slice.path, err)), w.close())
			s.writer = nil
			return err
		}
		s.added(part[len(part)-1].K)
		rows = rows[len(part):]
	}
	return nil
}

func (s *Store) added(last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = last
	close(s.grown)
	s.grown = make(chan struct{})
}

// write gives the writer for a row, a new slice where the newest is full or old.
func (s *Store) write(ctx context.Context, k uint64) (*writer, error) {
	if s.writer == nil {
		if err := s.reopen(ctx); err != nil {
			return nil, err
		}
	}
	if s.writer != nil && (s.writer.rows >= s.opt.SliceRows || s.writer.rows > 0 && audit.MillisOf(k)-audit.MillisOf(s.writer.slice.first) > sliceAge.Milliseconds()) {
		if err := s.turn(); err != nil {
			return nil, err
		}
	}
	if s.writer == nil {
		w, err := s.create(ctx, k)
		if err != nil {
			return nil, err
		}
		s.writer = w
	}
	return s.writer, nil
}

// turn gives the full slice to the sealer.
func (s *Store) turn() error {
	full := s.writer
	s.writer = nil
	err := errors.Join(full.settle(context.Background()), full.close())
	full.slice.turned.Store(true)
	s.wakeSealer()
	return err
}

// Last implements audit.Store.
func (s *Store) Last(ctx context.Context) (uint64, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.writer == nil && !s.opt.ReadOnly {
		if err := s.reopen(ctx); err != nil {
			return 0, err
		}
	}
	if s.writer != nil {
		if err := s.writer.settle(ctx); err != nil {
			return 0, fmt.Errorf("bring %s to the disk: %w", s.writer.slice.path, err)
		}
	}
	_, last := s.all()
	return last, nil
}

// settle brings what was committed to the disk: a checkpoint flushes the log before it copies it into the file.
func (w *writer) settle(ctx context.Context) error {
	_, err := w.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
	return err
}

// reopen goes on with the newest slice of a former process, if it is not sealed.
func (s *Store) reopen(ctx context.Context) error {
	all, _ := s.all()
	if len(all) == 0 {
		return nil
	}
	newest := all[len(all)-1]
	if newest.sealed.Load() || newest.turned.Load() {
		return nil
	}
	w, err := s.openWriter(ctx, newest)
	if err != nil {
		return fmt.Errorf("open the audit file %s: %w", newest.path, err)
	}
	var sealing bool
	if err := w.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'by_v')").Scan(&sealing); err != nil {
		return errors.Join(err, w.close())
	}
	s.writer = w
	if sealing { // the former process had begun to
		return s.turn()
	}
	return s.takeUp(newest, w)
}

// takeUp goes on with the terms that the former process left. Without them, after a crash, the slice is searched by
// looking at its rows until the sealer has read them again.
func (s *Store) takeUp(newest *slice, w *writer) error {
	defer s.wakeSealer()
	path := newest.path + indexExt
	x, err := openIndex(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		t, failed := x.load()
		if _, last := s.all(); failed == nil && len(t.keys) == w.rows && w.rows > 0 && t.keys[w.rows-1] == last {
			newest.terms.Store(t)
		}
		err = x.file.Close()
	}
	return errors.Join(err, os.Remove(path)) // it is right for as long as nothing is added
}

// leave writes the terms of the slice that is not full down for the next process.
func (w *writer) leave() error {
	t := w.slice.terms.Load()
	if t == nil || len(t.keys) == 0 {
		return nil
	}
	t.part = partial
	return t.write(w.slice.path+indexExt, func() error { return nil })
}

func (s *Store) create(ctx context.Context, k uint64) (*writer, error) {
	sl := &slice{path: filepath.Join(s.dir, fmt.Sprintf("%016x%s", k, sliceExt)), first: k}
	if err := sl.make(ctx); err != nil {
		return nil, fmt.Errorf("make the audit file %s: %w", sl.path, err)
	}
	w, err := s.openWriter(ctx, sl)
	if err != nil {
		return nil, fmt.Errorf("open the audit file %s: %w", sl.path, err)
	}
	sl.terms.Store(&terms{hasher: w.hasher})
	s.mu.Lock()
	s.slices = append(s.slices, sl)
	s.mu.Unlock()
	return w, nil
}

// make writes the schema before the file has a log, so that its head can be read from outside, and under another name,
// so that a crash leaves no slice that is half made. Large pages save reads when the file is cold.
func (sl *slice) make(ctx context.Context) error {
	unfinished := sl.path + newExt
	db, err := open(unfinished, "mode=rwc", "page_size(16384)", "journal_mode(MEMORY)", "synchronous(NORMAL)")
	if err != nil {
		return err
	}
	err = migrate(ctx, db, 0)
	if err == nil {
		_, err = db.ExecContext(ctx, byClass)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	if err := os.Rename(unfinished, sl.path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(sl.path))
}

// syncFolder brings the names of new files to the disk.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (s *Store) openWriter(ctx context.Context, sl *slice) (w *writer, err error) {
	// Commits are not flushed one by one: the spill keeps what Last has not called safe. Now and then the log is copied back
	// nonetheless: it grows by whole pages, also by those of a single event.
	db, err := open(sl.path, "mode=rw", "journal_mode(WAL)", "synchronous(NORMAL)", fmt.Sprintf("wal_autocheckpoint(%d)", s.logPages()), "cache_size(-1000)")
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	w = &writer{slice: sl, db: db, conn: conn, counts: map[count]int64{}, dict: dict{words: map[string]word{}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	var seed int64
	if err = conn.QueryRowContext(ctx, "SELECT value, (SELECT count(*) FROM rows) FROM meta WHERE name = 'seed'").Scan(&seed, &w.rows); err != nil {
		return nil, err
	}
	w.hasher = audit.Hasher(seed)
	if err = w.loadDict(ctx); err != nil {
		return nil, err
	}
	const insert, row = "INSERT INTO rows (k, f, j, u, a, r, n, d) VALUES ", "(?,?,?,?,?,?,?,?)"
	for into, query := range map[**statement]string{
		&w.one: insert + row, &w.many: insert + strings.Repeat(row+",", insertRows-1) + row, &w.word: insertWord, &w.tally: insertCount,
	} {
		if *into, err = prepare(ctx, conn, query); err != nil {
			return nil, err
		}
	}
	return w, nil
}

const insertWord = "INSERT INTO dict (id, tag, v) VALUES (?, ?, ?)"

func (w *writer) loadDict(ctx context.Context) error {
	rows, err := w.conn.QueryContext(ctx, "SELECT id, tag, v FROM dict")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, tag int64
		var v []byte
		if err := rows.Scan(&id, &tag, &v); err != nil {
			return err
		}
		w.dict.know(string(append([]byte{byte(tag)}, v...)), uint64(id))
	}
	return rows.Err()
}

func (w *writer) close() error {
	return errors.Join(w.many.close(), w.one.close(), w.word.close(), w.tally.close(), w.conn.Close(), w.db.Close())
}
