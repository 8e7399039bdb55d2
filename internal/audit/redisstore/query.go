package redisstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/audit"
)

// patience is how long one page may search; what is found by then is the page, and its cursor goes on.
const patience = 2 * time.Second

// search is one question on its way through the hours.
type search struct {
	store   *Store
	hasher  audit.Hasher
	filter  *audit.Filter
	q       audit.Query
	from    uint64      // keys from here on
	below   audit.Place // places before this one, in the order of pages
	classes []int
	end     time.Time
}

// spot is a row's place in the order of pages.
type spot struct {
	place
	k     uint64
	class int
}

// newer orders spots for a page: by key, then by writer, the highest first.
func newer(a, b spot) int {
	return cmp.Or(cmp.Compare(b.k, a.k), cmp.Compare(b.writer, a.writer))
}

// search asks for the seed also where it hashes nothing: what a newer usher keeps in another way is not looked past.
func (s *Store) search(ctx context.Context, q audit.Query) (*search, error) {
	below, err := q.Place()
	if err != nil {
		return nil, err
	}
	hasher, err := s.hasher(ctx)
	if err != nil {
		return nil, err
	}
	f := &search{store: s, hasher: hasher, filter: q.Filter(), q: q, below: below, classes: classesOf(&q), end: time.Now().Add(patience)}
	var until uint64
	f.from, until = q.Range()
	if until <= f.below.K {
		f.below = audit.Place{K: until}
	}
	return f, nil
}

// classesOf is where the rows asked for may lie.
func classesOf(q *audit.Query) []int {
	switch {
	case q.Verdict == audit.Allow && q.Kind == audit.Decision:
		return []int{classAllowed}
	case q.Kind != "" && q.Kind != audit.Decision, q.Verdict == audit.Deny, q.Verdict == audit.Unavailable, q.Reason != "":
		return []int{classOther}
	}
	return []int{classAllowed, classOther}
}

// wanted says that a row may be on the page by its place alone.
func (f *search) wanted(k uint64, writer string) bool {
	return k >= f.from && (k < f.below.K || k == f.below.K && writer < f.below.Writer)
}

// hours are the first and last hour that may hold a row.
func (f *search) hours() (from, to int64) { return hourOf(f.from), hourOf(f.below.K) }

// Query implements audit.Store.
func (s *Store) Query(ctx context.Context, q audit.Query) (audit.Page, error) {
	f, err := s.search(ctx, q)
	if err != nil {
		return audit.Page{}, err
	}
	var page audit.Page
	err = f.walk(ctx, func(at spot, e audit.Event) bool {
		page.Events = append(page.Events, e)
		if len(page.Events) < q.Limit {
			return true
		}
		page.Next = audit.Place{K: at.k, Writer: at.writer}.Cursor()
		return false
	}, func(at spot) { page.Next = audit.Place{K: at.k, Writer: at.writer}.Cursor() })
	return page, err
}

// walk calls f with the events asked for, newest first, until it has enough. Where it gets too late before, late is told
// how far the search came.
func (f *search) walk(ctx context.Context, found func(spot, audit.Event) bool, late func(spot)) error {
	from, to := f.hours()
	places, err := f.store.places(ctx, from, to)
	if err != nil {
		return err
	}
	if _, hashes := f.hasher.Search(&f.q); len(hashes) > 0 {
		return f.byTerm(ctx, places, hashes, found, late)
	}
	for len(places) > 0 {
		n := sameHour(places)
		done, err := f.throughHour(ctx, places[:n], found, late)
		if done || err != nil {
			return err
		}
		places = places[n:]
	}
	return nil
}

// sameHour is how many of the first places are of one hour.
func sameHour(places []place) int {
	n := 1
	for n < len(places) && places[n].hour == places[0].hour {
		n++
	}
	return n
}

// pipe is how many commands go to Redis at once.
const pipe = 128

// byTerm looks for a term in the buckets of many hours at once, and reads the rows that they name.
func (f *search) byTerm(ctx context.Context, places []place, hashes []uint32, found func(spot, audit.Event) bool, late func(spot)) error {
	ahead := 8 // hours: the newest may well be enough
	for len(places) > 0 {
		n := 0
		for n < len(places) && n < ahead {
			n += sameHour(places[n:])
		}
		spots, err := f.spots(ctx, places[:n], hashes)
		if err != nil {
			return err
		}
		for part := range slices.Chunk(spots, pipe) {
			if time.Now().After(f.end) {
				late(spot{k: part[0].k + 1})
				return nil
			}
			enough, err := f.visit(ctx, part, found)
			if enough || err != nil {
				return err
			}
		}
		places = places[n:]
		ahead = min(4*ahead, 1024)
	}
	return nil
}

// spots reads buckets and gives the rows that have one of the hashes, newest first.
func (f *search) spots(ctx context.Context, places []place, hashes []uint32) ([]spot, error) {
	var spots []spot
	for part := range slices.Chunk(places, pipe) {
		pipeline := f.store.client.Pipeline()
		answers := make([]*redis.StringCmd, 0, len(part)*len(hashes))
		for _, p := range part {
			for _, h := range hashes {
				answers = append(answers, pipeline.Get(ctx, f.store.bucket(p, h)))
			}
		}
		if _, err := pipeline.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("read the audit's index from Redis: %w", err)
		}
		for n, answer := range answers {
			entries, err := answer.Bytes()
			if err != nil {
				continue // that hour has no such bucket
			}
			spots = f.entries(spots, part[n/len(hashes)], entries, hashes[n%len(hashes)])
		}
	}
	slices.SortFunc(spots, newer)
	return slices.Compact(spots), nil
}

// entries picks the rows of a hash out of a bucket.
func (f *search) entries(spots []spot, p place, entries []byte, hash uint32) []spot {
	first := firstK(p.hour)
	for ; len(entries) >= entrySize; entries = entries[entrySize:] {
		if binary.LittleEndian.Uint32(entries) != hash {
			continue
		}
		low := binary.LittleEndian.Uint64(entries[4:])
		at := spot{p, first + low>>1, classAllowed + int(low&1)}
		if f.wanted(at.k, p.writer) && slices.Contains(f.classes, at.class) {
			spots = append(spots, at)
		}
	}
	return spots
}

// visit reads rows and shows those that pass the filter; true where that is enough.
func (f *search) visit(ctx context.Context, spots []spot, found func(spot, audit.Event) bool) (bool, error) {
	pipeline := f.store.client.Pipeline()
	answers := make([]*redis.XMessageSliceCmd, len(spots))
	for i, at := range spots {
		answers[i] = pipeline.XRange(ctx, f.store.stream(at.place, at.class), id(at.k), id(at.k))
	}
	if _, err := pipeline.Exec(ctx); err != nil {
		return false, fmt.Errorf("read audit rows from Redis: %w", err)
	}
	for i, at := range spots {
		for _, m := range answers[i].Val() {
			if !f.offer(at, m, found) {
				return true, nil
			}
		}
	}
	return false, nil
}

// offer shows a row where it passes the filter; false where that is enough.
func (f *search) offer(at spot, m redis.XMessage, found func(spot, audit.Event) bool) bool {
	text, _ := m.Values["e"].(string)
	data := []byte(text)
	if !f.filter.Row(data) {
		return true
	}
	e, err := audit.Unpack(data)
	return err != nil || !f.filter.Event(&e) || found(at, e)
}
