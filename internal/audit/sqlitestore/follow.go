package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/usher-im/usher/internal/audit"
)

// look is how often a follower looks for rows that another process has written.
const look = 500 * time.Millisecond

// Follow implements audit.Store.
func (s *Store) Follow(ctx context.Context, q audit.Query, f func(audit.Event) error) error {
	filter := q.Filter()
	_, after := s.all()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		grown := s.growth()
		var err error
		if after, err = s.newer(ctx, filter, after, f); ctx.Err() != nil {
			return nil // which may have broken off the look
		}
		if err != nil {
			return remedied(err)
		}
		var foreign <-chan time.Time
		if s.opt.ReadOnly {
			foreign = tick.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-grown:
		case <-foreign:
			s.mu.Lock()
			err := s.list()
			s.mu.Unlock()
			if err != nil {
				return err
			}
		}
	}
}

// newer gives the rows after a key, oldest first, and the new last key.
func (s *Store) newer(ctx context.Context, filter *audit.Filter, after uint64, f func(audit.Event) error) (uint64, error) {
	for _, sl := range s.between(after+1, audit.LastK) {
		last, err := sl.newer(ctx, filter, after, f)
		if err != nil && !errors.Is(err, errGone) {
			return after, err
		}
		after = max(after, last)
	}
	return after, nil
}

func (sl *slice) newer(ctx context.Context, filter *audit.Filter, after uint64, f func(audit.Event) error) (uint64, error) {
	for more := true; more; {
		events, last, full, err := sl.read(ctx, filter, after)
		if sl.foreign && sl.overtaken(err != nil) {
			continue
		}
		if err != nil {
			return after, err
		}
		for _, e := range events { // with the slice released: f may be slow
			if err := f(e); err != nil {
				return after, err
			}
		}
		after, more = last, full
	}
	return after, nil
}

// mostFollowed is how many rows are read at once. Whoever did not read for an hour finds many, and each of them takes more
// than a kilobyte of memory.
const mostFollowed = 1000

// read gives the next rows after a key, the last key that was read, and whether there may be more.
func (sl *slice) read(ctx context.Context, filter *audit.Filter, after uint64) (events []audit.Event, last uint64, more bool, err error) {
	r, release, err := sl.acquire(ctx)
	if err != nil {
		return nil, after, false, err
	}
	defer release()
	one, err := r.session(ctx)
	if err != nil {
		return nil, after, false, fmt.Errorf("follow %s: %w", sl.path, err)
	}
	defer one.close()
	coded := filter.Coded(one.number)
	rows, err := one.conn.QueryContext(ctx, "SELECT k, d FROM rows WHERE k > ? ORDER BY k LIMIT ?", int64(after), mostFollowed)
	if err != nil {
		return nil, after, false, fmt.Errorf("follow %s: %w", sl.path, err)
	}
	defer rows.Close()
	var data sql.RawBytes
	n := 0
	for ; rows.Next(); n++ {
		var k int64
		if err := rows.Scan(&k, &data); err != nil {
			return nil, after, false, fmt.Errorf("follow %s: %w", sl.path, err)
		}
		after = uint64(k)
		if coded == nil || !coded.Row(data) {
			continue
		}
		if e, err := one.unpack(data); err == nil && coded.Event(&e) {
			events = append(events, e)
		}
	}
	return events, after, n == mostFollowed, rows.Err()
}
