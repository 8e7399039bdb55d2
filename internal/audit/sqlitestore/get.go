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
	var e audit.Event
	var found bool
	err := s.steadily(func() (err error) {
		end := time.Now().Add(patience)
		for _, span := range audit.IDSpans(id) {
			if e, found, err = s.byID(ctx, id, span, end); found || err != nil {
				return err
			}
		}
		return nil
	})
	return e, found, remedied(err)
}

func (s *Store) byID(ctx context.Context, id string, span audit.Span, end time.Time) (audit.Event, bool, error) {
	for _, sl := range s.between(span.From, span.Below) {
		e, found, err := sl.byID(ctx, id, span, end)
		if found || err != nil && !errors.Is(err, errGone) {
			return e, found, err
		}
	}
	return audit.Event{}, false, nil
}

func (sl *slice) byID(ctx context.Context, id string, span audit.Span, end time.Time) (audit.Event, bool, error) {
	r, release, err := sl.acquire(ctx)
	if err != nil {
		return audit.Event{}, false, err
	}
	defer release()
	one, err := r.session(ctx)
	if err != nil {
		return audit.Event{}, false, fmt.Errorf("search %s: %w", sl.path, err)
	}
	defer one.close()
	rows, err := one.conn.QueryContext(ctx, "SELECT d FROM rows WHERE k >= ? AND k < ? ORDER BY k", int64(span.From), int64(span.Below))
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
