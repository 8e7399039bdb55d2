package sqlitestore

import (
	"context"

	"github.com/usher-im/usher/internal/audit"
)

// append writes rows in one transaction: all of them are in the file, or none. It takes milliseconds and waits for a lock
// for no longer than busy_timeout, so nobody needs to break it off; and for a context that can end, database/sql and SQLite's
// driver start a goroutine at each statement.
func (w *writer) append(ctx context.Context, rows []audit.Row) error {
	ctx = context.WithoutCancel(ctx)
	tx, err := w.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	w.hashes = w.hashes[:0]
	for left := rows; len(left) > 0; {
		n, into := 1, w.one
		if len(left) >= insertRows {
			n, into = insertRows, w.many
		}
		if err := w.insert(ctx, into, left[:n]); err != nil {
			return err
		}
		left = left[n:]
	}
	if err := w.writeDict(ctx); err != nil {
		return err
	}
	if err := w.writeCounts(ctx); err != nil {
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

func (w *writer) insert(ctx context.Context, into *statement, rows []audit.Row) error {
	w.packed = w.packed[:0]
	for _, row := range rows {
		o, err := w.hasher.Outline(row.Data)
		if err != nil {
			o = audit.Outline{} // kept as it is, found by time alone
		}
		start := len(w.packed)
		w.packed = w.dict.code(w.packed, row.Data)
		into.add(int64(row.K))
		for _, h := range o.Hash {
			into.add(column(h))
		}
		into.add(class(&o))
		into.add(w.packed[start:len(w.packed):len(w.packed)])
		w.hashes = append(w.hashes, o.Hash)
		w.count(&o)
	}
	return into.exec(ctx)
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

func (w *writer) writeDict(ctx context.Context) error {
	for _, key := range w.dict.fresh {
		w.word.add(int64(w.dict.words[key].number))
		w.word.add(int64(key[0]))
		w.word.add([]byte(key[1:]))
		if err := w.word.exec(ctx); err != nil {
			return err
		}
	}
	w.dict.fresh = w.dict.fresh[:0]
	return nil
}

func (w *writer) writeCounts(ctx context.Context) error {
	for c, n := range w.counts {
		w.tally.add(c.t)
		w.tally.add(c.by)
		w.tally.add(c.key)
		w.tally.add(n)
		if err := w.tally.exec(ctx); err != nil {
			return err
		}
	}
	return nil
}
