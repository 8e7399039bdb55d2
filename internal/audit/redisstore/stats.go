package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/audit"
)

// countingTime is how long counting rows one by one may take.
const countingTime = 20 * time.Second

// Stats implements audit.Store: from the counters where they answer, else from the rows.
func (s *Store) Stats(ctx context.Context, q audit.StatsQuery) ([]audit.Count, error) {
	f, err := s.search(ctx, q.Query)
	if err != nil {
		return nil, err
	}
	counts := q.Tally()
	if q.Ready() {
		if err := f.counters(ctx, q, counts); err != nil {
			return nil, err
		}
		return counts.Counts()
	}
	f.end = time.Now().Add(countingTime)
	var tooMany bool
	err = f.walk(ctx, func(_ spot, e audit.Event) bool {
		return counts.Add(e.Time.UnixMilli(), counts.Key(&e), 1)
	}, func(spot) { tooMany = true })
	if tooMany {
		err = audit.ErrUncountable
	}
	if err != nil {
		return nil, err
	}
	return counts.Counts()
}

// counters adds up what the writers counted.
func (f *search) counters(ctx context.Context, q audit.StatsQuery, counts *audit.Tally) error {
	from, to := f.hours()
	places, err := f.store.places(ctx, from, to)
	if err != nil {
		return err
	}
	since, until := q.Since.UnixMilli(), q.Until.UnixMilli()
	for part := range slices.Chunk(places, pipe) {
		pipeline := f.store.client.Pipeline()
		answers := make([]*redis.MapStringStringCmd, len(part))
		for i, p := range part {
			answers[i] = pipeline.HGetAll(ctx, f.store.key(p, "c"))
		}
		if _, err := pipeline.Exec(ctx); err != nil {
			return fmt.Errorf("read the audit's counters from Redis: %w", err)
		}
		for _, answer := range answers {
			for field, value := range answer.Val() {
				span, rest, _ := strings.Cut(field, " ")
				by, key, _ := strings.Cut(rest, " ")
				t, _ := strconv.ParseInt(span, 10, 64)
				n, _ := strconv.ParseInt(value, 10, 64)
				if t *= audit.CountSpan.Milliseconds(); by == q.By && t >= since && t < until {
					counts.Add(t, key, n)
				}
			}
		}
	}
	return nil
}
