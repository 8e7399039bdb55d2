package redisstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/audit"
)

// flow is one stream, read from its newest row on.
type flow struct {
	place
	class int
	rows  []redis.XMessage
	next  uint64 // the key below which to read on
	dry   bool
	count int64
}

const (
	firstRead = 50
	mostRead  = 1000
)

// throughHour looks through the streams of one hour, side by side in the order of pages; done where the search ends.
func (f *search) throughHour(ctx context.Context, places []place, found func(spot, audit.Event) bool, late func(spot)) (done bool, err error) {
	var flows []*flow
	for _, p := range places {
		for _, class := range f.classes {
			flows = append(flows, &flow{place: p, class: class, next: f.below.K + 1, count: firstRead})
		}
	}
	for n := 1; ; n++ {
		if err := f.refill(ctx, flows); err != nil {
			return false, err
		}
		var newest *flow
		for _, w := range flows {
			if len(w.rows) > 0 && (newest == nil || newer(w.head(), newest.head()) < 0) {
				newest = w
			}
		}
		if newest == nil {
			return false, nil
		}
		at, row := newest.head(), newest.rows[0]
		newest.rows = newest.rows[1:]
		if at.k < f.from {
			return true, nil
		}
		if f.wanted(at.k, at.writer) && !f.offer(at, row, found) {
			return true, nil
		}
		if n%1024 == 0 && time.Now().After(f.end) {
			late(at)
			return true, nil
		}
	}
}

func (w *flow) head() spot { return spot{w.place, keyOf(w.rows[0].ID), w.class} }

// refill reads on in every stream whose rows are used up, all in one go.
func (f *search) refill(ctx context.Context, flows []*flow) error {
	var empty []*flow
	var answers []*redis.XMessageSliceCmd
	var pipeline redis.Pipeliner
	for _, w := range flows {
		if len(w.rows) > 0 || w.dry {
			continue
		}
		if pipeline == nil {
			pipeline = f.store.client.Pipeline()
		}
		empty = append(empty, w)
		answers = append(answers, pipeline.XRevRangeN(ctx, f.store.stream(w.place, w.class), id(w.next-1), id(f.from), w.count))
	}
	if pipeline == nil {
		return nil
	}
	if _, err := pipeline.Exec(ctx); err != nil {
		return fmt.Errorf("read audit rows from Redis: %w", err)
	}
	for i, w := range empty {
		w.rows = answers[i].Val()
		w.dry = int64(len(w.rows)) < w.count
		w.count = min(2*w.count, mostRead)
		if len(w.rows) > 0 {
			w.next = keyOf(w.rows[len(w.rows)-1].ID)
		}
	}
	return nil
}

// Get implements audit.Store. The id says when it was made, so that no index is needed.
func (s *Store) Get(ctx context.Context, want string) (audit.Event, bool, error) {
	for _, span := range audit.IDSpans(want) {
		f, err := s.search(ctx, audit.Query{})
		if err != nil {
			return audit.Event{}, false, err
		}
		f.from, f.below = span.From, audit.Place{K: span.Below}
		e, found, err := f.byID(ctx, want)
		if found || err != nil {
			return e, found, err
		}
	}
	return audit.Event{}, false, nil
}

// sideBySide is how many nodes' hours are read together when one row is looked for.
const sideBySide = 16

// byID looks through a span from its oldest hour on: the row is near the beginning.
func (f *search) byID(ctx context.Context, want string) (audit.Event, bool, error) {
	from, to := f.hours()
	places, err := f.store.places(ctx, from, to)
	if err != nil {
		return audit.Event{}, false, err
	}
	slices.Reverse(places)
	for part := range slices.Chunk(places, sideBySide) {
		if e, found, err := f.byIDIn(ctx, part, want); found || err != nil {
			return e, found, err
		}
	}
	return audit.Event{}, false, nil
}

func (f *search) byIDIn(ctx context.Context, places []place, want string) (audit.Event, bool, error) {
	after := map[string]string{}
	for _, p := range places {
		for _, class := range f.classes {
			after[f.store.stream(p, class)] = id(f.from)
		}
	}
	for len(after) > 0 && time.Now().Before(f.end) {
		pipeline := f.store.client.Pipeline()
		answers := map[string]*redis.XMessageSliceCmd{}
		for stream, first := range after {
			answers[stream] = pipeline.XRangeN(ctx, stream, first, id(f.below.K-1), mostRead)
		}
		if _, err := pipeline.Exec(ctx); err != nil {
			return audit.Event{}, false, fmt.Errorf("read audit rows from Redis: %w", err)
		}
		for stream, answer := range answers {
			rows := answer.Val()
			for _, m := range rows {
				text, _ := m.Values["e"].(string)
				if audit.HasID([]byte(text), want) {
					e, err := audit.Unpack([]byte(text))
					return e, err == nil, err
				}
			}
			delete(after, stream)
			if len(rows) == mostRead {
				after[stream] = "(" + rows[len(rows)-1].ID
			}
		}
	}
	return audit.Event{}, false, nil
}
