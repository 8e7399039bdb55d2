package sqlitestore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/revocation"
)

// stateQuery is one look at the file, since each node takes it at each heartbeat: who the store is, where its changes
// end, and whether something has expired long enough ago to go.
const stateQuery = `WITH last AS (SELECT seq, tag FROM changes ORDER BY seq DESC LIMIT 1)
	SELECT (SELECT CAST(value AS TEXT) FROM meta WHERE name = 'epoch'), (SELECT value FROM meta WHERE name = 'secret'),
		coalesce((SELECT seq FROM last), 0), (SELECT tag FROM last),
		EXISTS (SELECT 1 FROM revocations WHERE expires_at > 0 AND expires_at < ?1) OR EXISTS (SELECT 1 FROM marks WHERE until > 0 AND until < ?1)`

// State implements revocation.Store. It also clears away what has expired, so that this happens at each heartbeat.
func (s *Store) State(ctx context.Context, offer revocation.Identity, _ string) (revocation.State, error) {
	if err := s.inPlace(); err != nil {
		return revocation.State{}, err
	}
	now := s.now()
	st, due, err := s.look(ctx, now)
	if err == nil && st.Epoch == "" {
		if err = s.adopt(ctx, offer); err == nil {
			st, due, err = s.look(ctx, now)
		}
	}
	if err == nil && due { // it is asked before it is written, since a write costs a flush to disk
		_ = s.purge(ctx, now) // a disk that is full keeps nobody from reading, and the next heartbeat tries again
	}
	if err == nil {
		st.Entries, err = s.entries(ctx)
	}
	return st, s.remedied(err)
}

// entries is how many there were when it was first asked: whoever loads them all makes room for so many. To count a
// million takes some milliseconds, which is too long for each heartbeat.
func (s *Store) entries(ctx context.Context) (int, error) {
	if n := s.counted.Load(); n > 0 {
		return int(n - 1), nil
	}
	var n int64
	err := s.read.QueryRowContext(ctx, "SELECT count(*) FROM revocations").Scan(&n)
	if err == nil {
		s.counted.Store(n + 1)
	}
	return int(n), err
}

func (s *Store) look(ctx context.Context, now time.Time) (st revocation.State, due bool, err error) {
	var epoch sql.NullString
	var secret, tag []byte
	err = s.state.QueryRowContext(ctx, ago(now, revocation.ExpiredFor)).Scan(&epoch, &secret, &st.Seq, &tag, &due)
	st.Durable, st.Epoch, st.Tag = true, epoch.String, string(tag)
	copy(st.Secret[:], secret)
	return st, due, err
}

func (s *Store) adopt(ctx context.Context, offer revocation.Identity) error {
	return s.change(ctx, func(st *step) error {
		return st.exec("INSERT OR IGNORE INTO meta (name, value) VALUES ('epoch', ?), ('secret', ?)", offer.Epoch, offer.Secret[:])
	})
}

func ago(now time.Time, d time.Duration) int64 { return now.Add(-d).UnixMilli() }

func (s *Store) purge(ctx context.Context, now time.Time) error {
	return s.change(ctx, func(st *step) error {
		if err := st.exec("DELETE FROM revocations WHERE seq IN (SELECT seq FROM revocations WHERE expires_at > 0 AND expires_at < ? LIMIT 5000)", ago(now, revocation.ExpiredFor)); err != nil {
			return err
		}
		return st.exec("DELETE FROM marks WHERE id IN (SELECT id FROM marks WHERE until > 0 AND until < ? LIMIT 5000)", ago(now, revocation.ExpiredFor))
	})
}

// part is how many entries one read takes: short reads let the write-ahead log be folded back in between.
const part = 20_000

// SQLite puts each part into one text, since the way of a row through database/sql costs more than the row.
const partQuery = `SELECT max(seq), group_concat(hex(id) || kind || ',' || issued_before || ',' || expires_at, ';')
	FROM (SELECT * FROM revocations WHERE seq > ? ORDER BY seq LIMIT ?)`

// Snapshot implements revocation.Store.
func (s *Store) Snapshot(ctx context.Context, yield func([]revocation.Entry) error) error {
	entries := make([]revocation.Entry, 0, part)
	for after := int64(0); ; {
		var last sql.NullInt64
		var text sql.NullString
		if err := s.read.QueryRowContext(ctx, partQuery, after, part).Scan(&last, &text); err != nil || !last.Valid {
			return s.remedied(err)
		}
		entries = entries[:0]
		for one := range strings.SplitSeq(text.String, ";") {
			e, err := parse(one)
			if err != nil {
				return err
			}
			entries = append(entries, e)
		}
		if err := yield(entries); err != nil {
			return err
		}
		after = last.Int64
	}
}

// parse reads one entry of a part: 32 hex digits, the selector's number, the times.
func parse(text string) (e revocation.Entry, err error) {
	const digits = 2 * len(e.Key)
	if len(text) < digits {
		return e, fmt.Errorf("a row of the revocation store is damaged: %q", text)
	}
	if _, err := hex.Decode(e.Key[:], []byte(text[:digits])); err != nil {
		return e, fmt.Errorf("a row of the revocation store is damaged: %w", err)
	}
	kind, rest, _ := strings.Cut(text[digits:], ",")
	before, expires, _ := strings.Cut(rest, ",")
	code, err1 := strconv.Atoi(kind)
	var err2, err3 error
	e.IssuedBefore, err2 = strconv.ParseInt(before, 10, 64)
	e.ExpiresAt, err3 = strconv.ParseInt(expires, 10, 64)
	return e, errors.Join(err1, err2, err3, selectBy(&e, code))
}

// selectBy sets the selector that a number stands for. An entry of one that is not known would be taken for none, and let in
// whom it means.
func selectBy(e *revocation.Entry, code int) error {
	if e.Selector = revocation.SelectorOf(code); e.Selector == "" {
		return fmt.Errorf("the revocation %s has the selector %d, which this usher does not know: run the version that made it", e.Key, code)
	}
	return nil
}

// most is how many changes one answer holds.
const most = 1000

// Changes implements revocation.Store.
func (s *Store) Changes(ctx context.Context, after uint64, wait time.Duration) ([]revocation.Change, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		found, err := s.since(ctx, after)
		if err != nil || len(found) > 0 {
			return found, err
		}
		select {
		case <-changed:
		case <-over.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

const changesQuery = `SELECT c.seq, c.tag, c.id, c.lifted, c.kind, c.issued_before, c.expires_at, c.actor,
		r.issuer, r.value, r.reason, r.actor, r.created_at
	FROM changes c LEFT JOIN revocations r ON r.id = c.id AND NOT c.lifted
	WHERE c.seq > ? ORDER BY c.seq LIMIT ?`

func (s *Store) since(ctx context.Context, after uint64) ([]revocation.Change, error) {
	if err := s.inPlace(); err != nil {
		return nil, err
	}
	rows, err := s.changes.QueryContext(ctx, after, most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []revocation.Change
	for rows.Next() {
		c, err := scanChange(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	return found, rows.Err()
}

func scanChange(rows *sql.Rows) (revocation.Change, error) {
	var c revocation.Change
	var tag, id []byte
	var kind int
	var issuer, value, reason, actor sql.NullString
	var created sql.NullInt64
	err := rows.Scan(&c.Seq, &tag, &id, &c.Lifted, &kind, &c.Entry.IssuedBefore, &c.Entry.ExpiresAt, &c.Actor, &issuer, &value, &reason, &actor, &created)
	if err != nil {
		return c, err
	}
	c.Tag, c.Entry.Key = string(tag), keyOf(id)
	if err := selectBy(&c.Entry, kind); err != nil || !created.Valid {
		return c, err
	}
	r := c.Entry.Revocation()
	r.Issuer, r.Value, r.Reason, r.Actor, r.CreatedAt = issuer.String, value.String, reason.String, actor.String, revocation.FromMS(created.Int64)
	c.Revocation = &r
	return c, nil
}
