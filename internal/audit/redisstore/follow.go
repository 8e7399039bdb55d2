package redisstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/audit"
)

// look is how often a follower looks for new rows. One read that waits would be no better: in a Cluster it cannot span
// the streams of several nodes.
const look = 250 * time.Millisecond

// mostFollowed is about how many rows of all streams are read at once. Each takes more than a kilobyte of memory.
const mostFollowed = 16 * mostRead

// outage is how long a follower waits for a Redis that fails. It knows how far it has read, and misses nothing.
const outage = 30 * time.Second

// Follow implements audit.Store. Rows of one node come in order; those of several as they are seen.
func (s *Store) Follow(ctx context.Context, q audit.Query, f func(audit.Event) error) error {
	w := follower{store: s, filter: q.Filter(), classes: classesOf(&q), after: map[string]string{}}
	if err := w.begin(ctx); err != nil {
		return ended(ctx, err)
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	answered := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for more := true; more; {
			var events []audit.Event
			var err error
			if events, more, err = w.read(ctx); err == nil {
				answered = time.Now()
			} else if time.Since(answered) > outage {
				return ended(ctx, err)
			}
			for _, e := range events {
				if err := f(e); err != nil {
					return err
				}
			}
		}
	}
}

func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// follower remembers how far it has read in each stream.
type follower struct {
	store   *Store
	filter  *audit.Filter
	classes []int
	after   map[string]string
	hour    int64 // streams of this hour and later ones are read
}

// begin passes over what is there.
func (w *follower) begin(ctx context.Context) error {
	if _, err := w.store.hasher(ctx); err != nil {
		return err
	}
	places, err := w.places(ctx)
	if err != nil {
		return err
	}
	pipeline := w.store.client.Pipeline()
	answers := map[string]*redis.XMessageSliceCmd{}
	for _, stream := range w.streams(places) {
		answers[stream] = pipeline.XRevRangeN(ctx, stream, "+", "-", 1)
	}
	if len(answers) > 0 {
		if _, err := pipeline.Exec(ctx); err != nil {
			return fmt.Errorf("follow the audit in Redis: %w", err)
		}
	}
	for stream, answer := range answers {
		w.after[stream] = "0"
		if rows := answer.Val(); len(rows) > 0 {
			w.after[stream] = rows[0].ID
		}
	}
	return nil
}

// places are those that may still be written to: clocks differ, and a backlog may be an hour old.
func (w *follower) places(ctx context.Context) ([]place, error) {
	if w.hour == 0 {
		newest, err := w.store.newestHour(ctx)
		if err != nil {
			return nil, err
		}
		if err := w.advance(ctx, newest); err != nil {
			return nil, err
		}
	}
	return w.store.places(ctx, w.hour, 1<<40)
}

// advance leaves hours behind that are over. One node's clock may be hours ahead, and those of the others write to earlier
// ones: Redis' own clock, which all of them share, says which hour it is.
func (w *follower) advance(ctx context.Context, newest int64) error {
	if newest-1 <= w.hour {
		return nil
	}
	now, err := w.store.client.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("ask Redis for the time: %w", err)
	}
	w.hour = max(w.hour, min(newest, now.UnixMilli()/hourMillis)-1)
	return nil
}

func (w *follower) streams(places []place) []string {
	var streams []string
	for _, p := range places {
		for _, class := range w.classes {
			streams = append(streams, w.store.stream(p, class))
		}
	}
	return streams
}

// read gives what is new, and whether there is more.
func (w *follower) read(ctx context.Context) ([]audit.Event, bool, error) {
	places, err := w.places(ctx)
	if err != nil {
		return nil, false, err
	}
	streams := w.streams(places)
	if len(streams) == 0 {
		return nil, false, nil
	}
	count := max(min(mostRead, mostFollowed/len(streams)), firstRead)
	pipeline := w.store.client.Pipeline()
	answers := make([]*redis.XMessageSliceCmd, len(streams))
	seen := make(map[string]string, len(streams))
	for i, stream := range streams {
		seen[stream] = w.after[stream]
		if seen[stream] == "" {
			seen[stream] = "0"
		}
		answers[i] = pipeline.XRangeN(ctx, stream, "("+seen[stream], "+", int64(count))
	}
	if _, err := pipeline.Exec(ctx); err != nil {
		return nil, false, fmt.Errorf("follow the audit in Redis: %w", err)
	}
	w.after = seen // streams of past hours are forgotten
	var events []audit.Event
	var more bool
	for i, stream := range streams {
		rows := answers[i].Val()
		more = more || len(rows) == count
		for _, m := range rows {
			w.after[stream] = m.ID
			text, _ := m.Values["e"].(string)
			if data := []byte(text); w.filter.Row(data) {
				if e, err := audit.Unpack(data); err == nil && w.filter.Event(&e) {
					events = append(events, e)
				}
			}
		}
	}
	slices.SortStableFunc(events, func(a, b audit.Event) int { return a.Time.Compare(b.Time) })
	if !more { // not before: an hour that is left behind is not read to its end
		err = w.advance(ctx, places[0].hour)
	}
	return events, more, err
}
