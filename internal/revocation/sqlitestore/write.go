package sqlitestore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/usher-im/usher/internal/revocation"
)

// change runs fn in one transaction and wakes those who wait for changes.
func (s *Store) change(ctx context.Context, fn func(*step) error) error {
	return s.remedied(s.try(ctx, fn))
}

func (s *Store) try(ctx context.Context, fn func(*step) error) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	st := &step{tx: tx, ctx: ctx, now: s.now()}
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM changes").Scan(&st.seq); err != nil {
		return err
	}
	began := st.seq
	if err := fn(st); err != nil {
		return err
	}
	if st.seq > s.kept {
		if _, err := tx.ExecContext(ctx, "DELETE FROM changes WHERE seq <= ?", st.seq-s.kept); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if st.seq != began {
		s.wake()
	}
	return nil
}

// turn is how long a writer waits for its turn among those of other processes.
const turn = 10 * time.Second

// begin waits for the one place that SQLite has for a writer.
func (s *Store) begin(ctx context.Context) (tx *sql.Tx, err error) {
	if err := s.inPlace(); err != nil {
		return nil, err
	}
	err = patiently(ctx, func() error {
		tx, err = s.write.BeginTx(ctx, nil)
		return err
	})
	return tx, err
}

// patiently tries until it is our turn. It asks often: SQLite's own waiting sleeps ever longer between tries, and a
// process that writes without pause (an import) would keep the others out for seconds.
func patiently(ctx context.Context, try func() error) error {
	for deadline := time.Now().Add(turn); ; {
		err := try()
		if err == nil || !busy(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(200*time.Microsecond + mathrand.N(time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) remedied(err error) error { return remedied(s.path, err) }

// remedied says what helps where the file at path is damaged.
func remedied(path string, err error) error {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return err
	}
	switch failed.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR: // the last: a table or column is not there
		return fmt.Errorf("%s is damaged (%w): stop the node and put a backup in its place, or move it away and import what was exported", path, err)
	}
	return err
}

func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

func (s *Store) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// step is one transaction that makes changes.
type step struct {
	tx  *sql.Tx
	ctx context.Context
	now time.Time
	seq uint64
}

func (st *step) exec(query string, args ...any) error {
	_, err := st.tx.ExecContext(st.ctx, query, args...)
	return err
}

// record writes the next change.
func (st *step) record(e revocation.Entry, lifted bool, actor string) error {
	st.seq++
	return st.exec("INSERT INTO changes (seq, tag, id, lifted, kind, issued_before, expires_at, actor) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		st.seq, rand.Text()[:8], e.Key[:], lifted, e.Selector.Code(), e.IssuedBefore, e.ExpiresAt, actor)
}

// Revoke implements revocation.Store.
func (s *Store) Revoke(ctx context.Context, rs []revocation.Revocation) (revocation.Written, error) {
	w := revocation.Written{Replicated: true}
	err := s.change(ctx, func(st *step) error {
		for _, r := range rs {
			o, err := st.revoke(r)
			if err != nil {
				return err
			}
			o.Seq = st.seq
			w.Outcomes = append(w.Outcomes, o)
		}
		w.Seq = st.seq
		return nil
	})
	if err != nil {
		return revocation.Written{}, err
	}
	return w, nil
}

func (st *step) revoke(r revocation.Revocation) (revocation.Outcome, error) {
	known, err := st.standing(r.Key())
	if errors.Is(err, revocation.ErrNotFound) {
		return revocation.Outcome{Revocation: r, New: true}, st.insert(r, r.Actor)
	}
	if err != nil {
		return revocation.Outcome{}, err
	}
	merged := revocation.Merge(known.Revocation, r)
	return revocation.Outcome{Revocation: merged}, st.update(known, merged, r.Actor)
}

// standing gives what there is under a key. What has expired makes room.
func (st *step) standing(key revocation.Key) (row, error) {
	known, err := scan(st.tx.QueryRowContext(st.ctx, "SELECT "+columns+" FROM revocations WHERE id = ?", key[:]))
	if err != nil || !known.expired(st.now) {
		return known, err
	}
	if err := st.exec("DELETE FROM revocations WHERE seq = ?", known.seq); err != nil {
		return row{}, err
	}
	return row{}, revocation.ErrNotFound
}

func (st *step) update(known row, merged revocation.Revocation, actor string) error {
	if merged == known.Revocation {
		return nil
	}
	e := merged.Entry()
	if err := st.record(e, false, actor); err != nil {
		return err
	}
	return st.exec("UPDATE revocations SET issued_before = ?, expires_at = ?, reason = ? WHERE seq = ?",
		e.IssuedBefore, e.ExpiresAt, merged.Reason, known.seq)
}

func (st *step) insert(r revocation.Revocation, actor string) error {
	e := r.Entry()
	if err := st.record(e, false, actor); err != nil {
		return err
	}
	if err := st.exec("DELETE FROM lifted WHERE id = ?", e.Key[:]); err != nil {
		return err
	}
	return st.exec("INSERT INTO revocations (seq, id, kind, issuer, value, issued_before, expires_at, reason, actor, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		st.seq, e.Key[:], e.Selector.Code(), r.Issuer, r.Value, e.IssuedBefore, e.ExpiresAt, r.Reason, r.Actor, r.CreatedAt.UnixMilli())
}

// Lift implements revocation.Store.
func (s *Store) Lift(ctx context.Context, id revocation.Key, actor string) (revocation.Revocation, revocation.Written, error) {
	var r row
	w := revocation.Written{Replicated: true}
	err := s.change(ctx, func(st *step) (err error) {
		if r, err = scan(st.tx.QueryRowContext(ctx, "SELECT "+columns+" FROM revocations WHERE id = ?", id[:])); err != nil {
			return err
		}
		if r.expired(st.now) {
			return revocation.ErrNotFound
		}
		if err := st.exec("DELETE FROM revocations WHERE seq = ?", r.seq); err != nil {
			return err
		}
		if err := st.exec("INSERT OR REPLACE INTO lifted (id, at) VALUES (?, ?)", id[:], st.now.UnixMilli()); err != nil {
			return err
		}
		if err := st.exec("DELETE FROM lifted WHERE at < ?", st.now.Add(-revocation.LiftedFor).UnixMilli()); err != nil {
			return err
		}
		err = st.record(r.Entry(), true, actor)
		w.Seq = st.seq
		return err
	})
	if err != nil {
		return revocation.Revocation{}, revocation.Written{}, err
	}
	return r.Revocation, w, nil
}

// Restore implements revocation.Store.
func (s *Store) Restore(ctx context.Context, lost []revocation.Lost) (restored int, err error) {
	err = s.change(ctx, func(st *step) error {
		began := st.seq
		for _, l := range lost {
			if err := st.restore(l); err != nil {
				return err
			}
		}
		restored = int(st.seq - began)
		return nil
	})
	return restored, err
}

func (st *step) restore(l revocation.Lost) error {
	var lifted int64
	err := st.tx.QueryRowContext(st.ctx, "SELECT coalesce(max(at), 0) FROM lifted WHERE id = ?", l.Entry.Key[:]).Scan(&lifted)
	if err != nil || lifted > 0 && l.MadeAt() <= lifted {
		return err
	}
	r := l.Revived(st.now)
	known, err := st.standing(l.Entry.Key)
	if errors.Is(err, revocation.ErrNotFound) {
		return st.insert(r, "")
	}
	if err != nil {
		return err
	}
	r.Reason = known.Reason
	return st.update(known, revocation.Merge(known.Revocation, r), "")
}
