package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/revocation"
)

const columns = "seq, id, kind, issuer, value, issued_before, expires_at, reason, actor, created_at"

type row struct {
	revocation.Revocation
	seq uint64
}

func (r *row) expired(now time.Time) bool { return !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(now) }

func scan(from interface{ Scan(...any) error }) (row, error) {
	var r row
	var id []byte
	var kind int
	var before, expires, created int64
	err := from.Scan(&r.seq, &id, &kind, &r.Issuer, &r.Value, &before, &expires, &r.Reason, &r.Actor, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, revocation.ErrNotFound
	}
	if err != nil {
		return row{}, err
	}
	r.ID, r.Selector = keyOf(id).String(), revocation.SelectorOf(kind)
	r.IssuedBefore, r.ExpiresAt, r.CreatedAt = revocation.FromMS(before), revocation.FromMS(expires), revocation.FromMS(created)
	return r, nil
}

func keyOf(id []byte) (k revocation.Key) {
	copy(k[:], id)
	return k
}

// Get implements revocation.Store.
func (s *Store) Get(ctx context.Context, id revocation.Key) (revocation.Revocation, error) {
	r, err := scan(s.read.QueryRowContext(ctx, "SELECT "+columns+" FROM revocations WHERE id = ?", id[:]))
	if err == nil && r.expired(s.now()) {
		err = revocation.ErrNotFound
	}
	if err != nil {
		return revocation.Revocation{}, err
	}
	return r.Revocation, nil
}

// List implements revocation.Store. A cursor is the seq of the last row of the page before.
func (s *Store) List(ctx context.Context, q revocation.Query) (revocation.Page, error) {
	where := []string{"(expires_at = 0 OR expires_at > ?)"}
	args := []any{s.now().UnixMilli()}
	add := func(set bool, condition string, value any) {
		if set {
			where, args = append(where, condition), append(args, value)
		}
	}
	if q.Cursor != "" {
		seq, err := strconv.ParseUint(q.Cursor, 10, 63)
		if err != nil {
			return revocation.Page{}, revocation.ErrCursor
		}
		add(true, "seq < ?", seq)
	}
	add(q.Selector != "", "kind = ?", q.Selector.Code())
	add(q.Issuer != "", "issuer = ?", q.Issuer)
	add(q.Value != "", "value = ?", q.Value)
	add(q.Actor != "", "actor = ?", q.Actor)
	limit := q.Bound()
	rows, err := s.read.QueryContext(ctx, "SELECT "+columns+" FROM revocations WHERE "+strings.Join(where, " AND ")+
		" ORDER BY seq DESC LIMIT ?", append(args, limit+1)...)
	if err != nil {
		return revocation.Page{}, s.remedied(err)
	}
	defer rows.Close()
	var page revocation.Page
	var last uint64
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return revocation.Page{}, err
		}
		if len(page.Items) == limit {
			page.Next = strconv.FormatUint(last, 10)
			break
		}
		page.Items, last = append(page.Items, r.Revocation), r.seq
	}
	return page, s.remedied(rows.Err())
}

// Lookup implements revocation.Store.
func (s *Store) Lookup(ctx context.Context, keys []revocation.Key) ([]revocation.Entry, error) {
	if err := s.inPlace(); err != nil {
		return nil, err
	}
	args := make([]any, len(keys))
	for i := range keys {
		args[i] = keys[i][:]
	}
	rows, err := s.read.QueryContext(ctx, "SELECT id, kind, issued_before, expires_at FROM revocations WHERE id IN (?"+
		strings.Repeat(", ?", max(len(keys)-1, 0))+")", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return entries(rows)
}

func entries(rows *sql.Rows) (found []revocation.Entry, err error) {
	var id sql.RawBytes
	for rows.Next() {
		var e revocation.Entry
		var kind int
		if err := rows.Scan(&id, &kind, &e.IssuedBefore, &e.ExpiresAt); err != nil {
			return nil, err
		}
		e.Key, e.Selector = keyOf(id), revocation.SelectorOf(kind)
		found = append(found, e)
	}
	return found, rows.Err()
}
