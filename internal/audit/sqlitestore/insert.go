package sqlitestore

import (
	"context"
	"database/sql"

	"github.com/usher-im/usher/internal/audit"
)

// append writes rows in one transaction: all of them are in the file, or none.
func (w *writer) append(ctx context.Context, rows []audit.Row) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	many, one := tx.StmtContext(ctx, w.many), tx.StmtContext(ctx, w.one)
	w.hashes = w.hashes[:0]
	for left := rows; len(left) > 0; {
		n, statement := 1, one
		if len(left) >= insertRows {
			n, statement = insertRows, many
		}
		if err := w.insert(ctx, statement, left[:n]); err != nil {
			return err
		}
		left = left[n:]
	}
	if err := w.writeDict(ctx, tx.StmtContext(ctx, w.word)); err != nil {
		return err
	}
	if err := writeCounts(ctx, tx.StmtContext(ctx, w.tally), w.counts); err != nil {
		return err
	}
	clear(w.counts)
	if err := tx.Commit(); err != nil {
		return err
	}
	w.rows += len(rows)
	if t := w.slice.terms.Load(); t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		for i, row := range rows {
			t.add(row.K, w.hashes[i])
		}
	}
	return nil
}

func (w *writer) insert(ctx context.Context, statement *sql.Stmt, rows []audit.Row) error {
	w.args, w.packed = w.args[:0], w.packed[:0]
	for _, row := range rows {
		o, err := w.hasher.Outline(row.Data)
		if err != nil {
			o = audit.Outline{} // kept as it is, found by time alone
		}
		start := len(w.packed)
		w.packed = w.dict.code(w.packed, row.Data)
		w.args = append(w.args, int64(row.K))
		for _, h := range o.Hash {
			w.args = append(w.args, column(h))
		}
		w.args = append(w.args, class(&o), w.packed[start:len(w.packed):len(w.packed)])
		w.hashes = append(w.hashes, o.Hash)
		w.count(&o)
	}
	_, err := statement.ExecContext(ctx, w.args...)
	return err
}

// column is a hash as SQLite keeps it in four bytes.
func column(h uint32) any {
	if h == 0 {
		return nil
	}
	return int64(int32(h))
}

// What n says.
const (
	classDeny        = int64(1)
	classUnavailable = int64(2)
	classOther       = int64(3)
)

func class(o *audit.Outline) any {
	switch {
	case o.Allowed:
		return nil
	case o.Kind == audit.Decision && o.Verdict == audit.Deny:
		return classDeny
	case o.Kind == audit.Decision && o.Verdict == audit.Unavailable:
		return classUnavailable
	}
	return classOther
}

func (w *writer) writeDict(ctx context.Context, word *sql.Stmt) error {
	for _, key := range w.dict.fresh {
		if _, err := word.ExecContext(ctx, int64(w.dict.words[key].number), int64(key[0]), []byte(key[1:])); err != nil {
			return err
		}
	}
	w.dict.fresh = w.dict.fresh[:0]
	return nil
}
