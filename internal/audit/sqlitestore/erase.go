package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/usher-im/usher/internal/audit"
)

// Erase implements audit.Store. Deleted rows are overwritten, not only unlinked.
func (s *Store) Erase(ctx context.Context, user string) (int64, error) {
	if s.opt.ReadOnly {
		return 0, errReadOnly
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	all, _ := s.all()
	var total int64
	for _, sl := range all {
		n, err := sl.erase(ctx, user)
		total += n
		if err != nil && !errors.Is(err, errGone) {
			return total, fmt.Errorf("erase from %s: %w", sl.path, err)
		}
	}
	if s.writer != nil && total > 0 {
		// The file was changed beside it: its numbers for texts are read anew.
		err := s.writer.close()
		s.writer = nil
		return total, err
	}
	return total, nil
}

func (sl *slice) erase(ctx context.Context, user string) (int64, error) {
	keys, err := sl.of(ctx, user)
	if err != nil || len(keys) == 0 {
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
	return int64(len(keys)), errors.Join(deleteRows(ctx, db, keys, user), db.Close())
}

func deleteRows(ctx context.Context, db *sql.DB, keys []uint64, user string) error {
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
	// A subject that is the user's id; others keep what their rows' numbers stand for.
	if _, err := tx.ExecContext(ctx, "DELETE FROM dict WHERE tag = ? AND v = ?", int64(audit.TagSubject), []byte(user)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// of gives the keys of a user's rows.
func (sl *slice) of(ctx context.Context, user string) ([]uint64, error) {
	f := search{filter: audit.Query{User: user}.Filter(), q: audit.Query{User: user}, below: 1<<63 - 1}
	r, release, err := sl.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	one, err := r.session(ctx)
	if err != nil {
		return nil, err
	}
	defer one.conn.Close()
	where, args := f.where(r)
	rows, err := one.conn.QueryContext(ctx, "SELECT k, d FROM rows"+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []uint64
	var data sql.RawBytes
	for rows.Next() {
		var k int64
		if err := rows.Scan(&k, &data); err != nil {
			return nil, err
		}
		if e, err := one.unpack(data); err == nil && f.filter.Event(&e) {
			keys = append(keys, uint64(k))
		}
	}
	return keys, rows.Err()
}
