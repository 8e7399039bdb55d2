package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/usher-im/usher/internal/audit"
)

// Get implements audit.Store. The id says when it was made, so that no index is needed.
func (s *Store) Get(ctx context.Context, id string) (audit.Event, bool, error) {
	from, until, ok := audit.IDSpan(id)
	if !ok {
		return audit.Event{}, false, nil
	}
	e, found, err := s.byID(ctx, id, from, until)
	if found || err != nil {
		return e, found, err
	}
	// Rows of an hour after it: the clock may have been set back.
	return s.byID(ctx, id, until, until+uint64(time.Hour.Milliseconds())<<kShift)
}

func (s *Store) byID(ctx context.Context, id string, from, below uint64) (audit.Event, bool, error) {
	end := time.Now().Add(patience)
	for _, sl := range s.between(from, below) {
		e, found, err := sl.byID(ctx, id, from, below, end)
		if found || err != nil && !errors.Is(err, errGone) {
			return e, found, err
		}
	}
	return audit.Event{}, false, nil
}

func (sl *slice) byID(ctx context.Context, id string, from, below uint64, end time.Time) (audit.Event, bool, error) {
	r, release, err := sl.acquire(ctx)
	if err != nil {
		return audit.Event{}, false, err
	}
	defer release()
	one, err := r.session(ctx)
	if err != nil {
		return audit.Event{}, false, fmt.Errorf("search %s: %w", sl.path, err)
	}
	defer one.conn.Close()
	rows, err := one.conn.QueryContext(ctx, "SELECT d FROM rows WHERE k >= ? AND k < ? ORDER BY k", int64(from), int64(below))
	if err != nil {
		return audit.Event{}, false, fmt.Errorf("search %s: %w", sl.path, err)
	}
	defer rows.Close()
	var data sql.RawBytes
	for n := 0; rows.Next(); n++ {
		if n%1024 == 1023 && time.Now().After(end) {
			return audit.Event{}, false, nil
		}
		if err := rows.Scan(&data); err != nil {
			return audit.Event{}, false, err
		}
		if audit.HasID(data, id) {
			e, err := one.unpack(data)
			return e, err == nil, err
		}
	}
	return audit.Event{}, false, rows.Err()
}
