package sqlitestore

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/audit"
)

// Erase implements audit.Store. Deleted rows are overwritten, not only unlinked, and so are the texts that only they had.
func (s *Store) Erase(ctx context.Context, user string) (int64, error) {
	if s.opt.ReadOnly {
		return 0, errReadOnly
	}
	if err := s.takeChanges(ctx); err != nil {
		return 0, err
	}
	defer s.changes.Unlock()
	defer s.wakeSealer()
	all, _ := s.all()
	full := all[:max(len(all)-1, 0)] // in a large store they take minutes, and events come meanwhile
	total, err := eraseFrom(ctx, full, user)
	if err != nil {
		return total, err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.writer != nil {
		// The file is changed beside it: its texts are read anew.
		err := s.writer.close()
		s.writer = nil
		if err != nil {
			return total, err
		}
	}
	all, _ = s.all()
	n, err := eraseFrom(ctx, slices.DeleteFunc(all, func(sl *slice) bool { return slices.Contains(full, sl) }), user)
	return total + n, err
}

func eraseFrom(ctx context.Context, some []*slice, user string) (total int64, err error) {
	for _, sl := range some {
		n, err := sl.erase(ctx, user)
		total += n
		if err != nil && !errors.Is(err, errGone) {
			return total, remedied(fmt.Errorf("erase from %s: %w", sl.path, err))
		}
	}
	return total, nil
}

// takeChanges waits for the sealer to be done with its slice, without rests.
func (s *Store) takeChanges(ctx context.Context) error {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !s.changes.TryLock() {
		select {
		case s.hurry <- struct{}{}:
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("erase from the audit: %w", ctx.Err())
		}
	}
	return nil
}

func (sl *slice) erase(ctx context.Context, user string) (int64, error) {
	keys, err := sl.of(ctx, user)
	if err != nil || len(keys) == 0 && sl.sealed.Load() {
		return 0, err
	}
	sl.use.Lock() // readers of a sealed slice do not expect it to change
	defer sl.use.Unlock()
	if sl.gone {
		return 0, errGone
	}
	if err := sl.closeReader(); err != nil {
		return 0, err
	}
	db, err := open(sl.path, "mode=rw", "secure_delete(1)")
	if err != nil {
		return 0, err
	}
	db.SetMaxOpenConns(1)
	if err = sl.forget(ctx, db, keys); err != nil {
		return 0, errors.Join(err, db.Close())
	}
	return int64(len(keys)), errors.Join(sl.clean(ctx, db), db.Close())
}

// forget deletes rows, and what names them by their hashes: the index, of which the sealer makes another, and the terms.
func (sl *slice) forget(ctx context.Context, db *sql.DB, keys []uint64) error {
	if len(keys) == 0 {
		return nil
	}
	sl.sealed.Store(false)
	if err := os.Remove(sl.path + indexExt); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := deleteRows(ctx, db, keys); err != nil {
		return err
	}
	if t := sl.terms.Load(); t != nil { // not before: what is still there would never be found again
		t.forget(keys)
	}
	return nil
}

func deleteRows(ctx context.Context, db *sql.DB, keys []uint64) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, k := range keys {
		if _, err := tx.ExecContext(ctx, "DELETE FROM rows WHERE k = ?", int64(k)); err != nil {
			return err
		}
	}
	if err := blankTexts(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO meta VALUES ('erased', 1)"); err != nil {
		return err
	}
	return tx.Commit()
}

// blankTexts takes away the texts that no row has any more. Their numbers stay: given to another text they would lie, and
// a dict with a place free again would look as if no row had its text in itself.
func blankTexts(ctx context.Context, tx *sql.Tx) error {
	used := map[uint64]bool{}
	err := each(ctx, tx, "SELECT k, d FROM rows", func(_ int64, data []byte) {
		fields, _ := audit.FieldsOf(data)
		for tag, value, ok := fields.Next(); ok; tag, value, ok = fields.Next() {
			if tag&audit.Coded != 0 {
				number, _ := binary.Uvarint(value)
				used[number] = true
			}
		}
	})
	var blank []int64
	err = errors.Join(err, each(ctx, tx, "SELECT id, v FROM dict WHERE v != x''", func(id int64, _ []byte) {
		if !used[uint64(id)] {
			blank = append(blank, id)
		}
	}))
	for _, id := range blank {
		if err == nil {
			_, err = tx.ExecContext(ctx, "UPDATE dict SET v = x'' WHERE id = ?", id)
		}
	}
	return err
}

// clean writes the file anew where meta says that rows were erased from it: where SQLite has moved rows from page to page,
// their bytes stay between those that are there, and secure_delete does not reach them. The caller has use and the store's
// changes.
func (sl *slice) clean(ctx context.Context, db *sql.DB) error {
	var erased bool
	err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'erased')").Scan(&erased)
	if err != nil || !erased {
		return err
	}
	if err := emptyLog(ctx, db); err != nil { // before it takes all of the new file as well
		return err
	}
	// The copy that VACUUM makes lies on the disk, for a file may be larger than memory; and beside the file, for there may be
	// no other place.
	folder := "'" + strings.ReplaceAll(filepath.Dir(sl.path), "'", "''") + "'"
	for _, statement := range []string{"PRAGMA temp_store = FILE", "PRAGMA temp_store_directory = " + folder, "VACUUM"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if err := emptyLog(ctx, db); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "DELETE FROM meta WHERE name = 'erased'")
	return err
}

// emptyLog copies the log back into the file, and cuts it off.
func emptyLog(ctx context.Context, db *sql.DB) error {
	var busy bool
	err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, new(int), new(int))
	if err == nil && busy {
		err = errors.New("the rows are deleted, but their bytes are still there, for another process reads the file: end it, and erase again")
	}
	return err
}

// of gives the keys of a user's rows.
func (sl *slice) of(ctx context.Context, user string) ([]uint64, error) {
	q := audit.Query{User: user}
	f := search{filter: q.Filter(), q: q, below: audit.LastK}
	release, err := sl.hold()
	if err != nil {
		return nil, err
	}
	defer release()
	w, err := f.way(sl)
	if err != nil || w.nowhere() {
		return nil, err
	}
	r, err := sl.open(ctx)
	if err != nil {
		return nil, err
	}
	one, err := r.session(ctx)
	if err != nil {
		return nil, err
	}
	defer one.close()
	w.fit(r, &q)
	var keys []uint64
	err = one.walk(w, f.filter, func(k uint64, _ audit.Event) bool {
		keys = append(keys, k)
		return true
	})
	return keys, err
}
