package sqlitestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/usher-im/usher/internal/audit"
)

// Stats implements audit.Store: from the counts that are kept where they answer, else from the rows.
func (s *Store) Stats(ctx context.Context, q audit.StatsQuery) (counts []audit.Count, err error) {
	err = s.steadily(func() (err error) {
		counts, err = s.counts(ctx, q)
		return err
	})
	return counts, err
}

func (s *Store) counts(ctx context.Context, q audit.StatsQuery) ([]audit.Count, error) {
	f := search{filter: q.Filter(), q: q.Query}
	f.from, f.below = q.Range()
	// A row's key is the moment it was recorded, what is counted is the moment of the event.
	all := partsOf(s.between(f.from, f.below))
	if !q.Ready() && f.hasTerm() {
		f.lookUp(all)
		f.readAhead(all, mostAhead)
	}
	tally := q.Tally()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	slots := make(chan struct{}, fanOut)
	for _, p := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			add := func(millis int64, key string, n int64) bool {
				mu.Lock()
				defer mu.Unlock()
				return tally.Add(millis, key, n)
			}
			err := f.count(ctx, p, q, tally, add)
			if err != nil && !errors.Is(err, errGone) {
				mu.Lock()
				defer mu.Unlock()
				failed = cmp.Or(failed, fmt.Errorf("count in %s: %w", p.slice.path, err))
			}
		})
	}
	wg.Wait()
	if failed != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, audit.ErrUncountable
	}
	if failed != nil {
		return nil, remedied(failed)
	}
	return tally.Counts()
}

// mostAhead is how many rows are read before the first is counted.
const mostAhead = 4096

func (f *search) count(ctx context.Context, part *part, q audit.StatsQuery, tally *audit.Tally, add func(int64, string, int64) bool) error {
	sl := part.slice
	release, err := sl.hold()
	if err != nil {
		return err
	}
	defer release()
	if !add(0, "", 0) {
		return nil // another slice has filled the tally
	}
	if !q.Ready() && !part.sought {
		part.seekNow(f)
	}
	w := part.way
	if part.err != nil || w.nowhere() {
		return part.err
	}
	if w.known {
		var events []audit.Event
		if p := sl.openPages(); p != nil && f.visit(p, part, func(_ uint64, e audit.Event) bool { events = append(events, e); return true }) == nil {
			for i := range events {
				if !add(events[i].Time.UnixMilli(), tally.Key(&events[i]), 1) {
					break
				}
			}
			return nil
		}
	}
	r, err := sl.open(ctx)
	if err != nil {
		return err
	}
	one, err := r.session(ctx)
	if err != nil {
		return err
	}
	defer one.close()
	if q.Ready() {
		return one.ready(q, add)
	}
	filter := f.filter.Coded(one.number)
	if filter == nil {
		return nil
	}
	w.fit(r, &f.q)
	return one.walk(w, filter, func(_ uint64, e audit.Event) bool {
		return add(e.Time.UnixMilli(), tally.Key(&e), 1)
	})
}

// ready adds the counts that were made as the rows came.
func (s *session) ready(q audit.StatsQuery, add func(int64, string, int64) bool) error {
	rows, err := s.conn.QueryContext(s.ctx, "SELECT t, key, n FROM counts WHERE by = ? AND t >= ? AND t < ?", q.By, q.Since.UnixMilli(), q.Until.UnixMilli())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var t, n int64
		var key string
		if err := rows.Scan(&t, &key, &n); err != nil {
			return err
		}
		add(t, key, n)
	}
	return rows.Err()
}
