package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/usher-im/usher/internal/audit"
)

// patience is how long one page may search; what is found by then is the page, and its cursor goes on.
const patience = 2 * time.Second

// fanOut is how many slices are asked at once.
const fanOut = 8

// search is one question on its way through the slices.
type search struct {
	filter *audit.Filter
	q      audit.Query
	from   uint64 // keys from here on
	below  uint64 // keys below this
	end    time.Time
}

// found is what one slice gave, newest first.
type found struct {
	events []audit.Event
	keys   []uint64
	// reached is the lowest key that was looked at; 0 where the slice was looked through.
	reached uint64
	err     error
}

// Query implements audit.Store.
func (s *Store) Query(ctx context.Context, q audit.Query) (audit.Page, error) {
	place, err := q.Place()
	if err != nil {
		return audit.Page{}, err
	}
	f := search{filter: q.Filter(), q: q, end: time.Now().Add(patience)}
	f.from, f.below = q.Range()
	f.below = min(f.below, place.K)
	all := s.between(f.from, f.below)
	var page audit.Page
	for width := 1; len(all) > 0; width = min(2*width, fanOut) {
		n := min(width, len(all))
		part := all[len(all)-n:]
		all = all[:len(all)-n]
		done, err := f.gather(ctx, part, &page)
		if done || err != nil {
			return page, err
		}
	}
	return page, nil
}

// between gives the slices that may hold keys of a span, oldest first.
func (s *Store) between(from, below uint64) []*slice {
	all, _ := s.all()
	for len(all) > 1 && all[1].first <= from {
		all = all[1:]
	}
	for len(all) > 0 && all[len(all)-1].first >= below {
		all = all[:len(all)-1]
	}
	return all
}

// gather asks some slices at once and adds what they have to the page, newest first; true where the page is complete.
func (f *search) gather(ctx context.Context, part []*slice, page *audit.Page) (bool, error) {
	results := make([]found, len(part))
	var wg sync.WaitGroup
	for i, sl := range part {
		wg.Go(func() { results[i] = f.in(ctx, sl) })
	}
	wg.Wait()
	for i := len(results) - 1; i >= 0; i-- {
		r := &results[i]
		if r.err != nil {
			return true, r.err
		}
		for n := range r.events {
			page.Events = append(page.Events, r.events[n])
			if len(page.Events) == f.q.Limit {
				page.Next = audit.Place{K: r.keys[n]}.Cursor()
				return true, nil
			}
		}
		if r.reached > 0 {
			page.Next = audit.Place{K: r.reached}.Cursor()
			return true, nil
		}
	}
	return false, nil
}

// in searches one slice.
func (f *search) in(ctx context.Context, sl *slice) found {
	r, release, err := sl.acquire(ctx)
	if errors.Is(err, errGone) {
		return found{}
	}
	if err != nil {
		return found{err: err}
	}
	defer release()
	one, err := r.session(ctx)
	if err != nil {
		return found{err: fmt.Errorf("search %s: %w", sl.path, err)}
	}
	defer one.conn.Close()
	filter := f.filter.Coded(one.number)
	if filter == nil {
		return found{}
	}
	where, args := f.where(r)
	rows, err := one.conn.QueryContext(ctx, "SELECT k, d FROM rows"+where+" ORDER BY k DESC", args...)
	if err != nil {
		return found{err: fmt.Errorf("search %s: %w", sl.path, err)}
	}
	defer rows.Close()
	var out found
	var k int64
	var data sql.RawBytes
	for n := 0; rows.Next(); n++ {
		if err := rows.Scan(&k, &data); err != nil {
			return found{err: fmt.Errorf("search %s: %w", sl.path, err)}
		}
		if n%1024 == 1023 && time.Now().After(f.end) {
			out.reached = uint64(k) + 1
			return out
		}
		if !filter.Row(data) {
			continue
		}
		e, err := one.unpack(data)
		if err != nil || !filter.Event(&e) {
			continue
		}
		out.events, out.keys = append(out.events, e), append(out.keys, uint64(k))
		if len(out.events) == f.q.Limit {
			break
		}
	}
	if err := rows.Err(); err != nil {
		out.err = fmt.Errorf("search %s: %w", sl.path, err)
	}
	return out
}

// where chooses the way into a slice: the most selective term, else the class of row, else all of the time asked for.
func (f *search) where(r *reader) (string, []any) {
	var index, condition string
	var args []any
	if term, hashes := r.hasher.Search(&f.q); len(hashes) > 0 {
		index = "by_" + columns[term]
		condition = columns[term] + " IN (?" + strings.Repeat(",?", len(hashes)-1) + ") AND "
		for _, h := range hashes {
			args = append(args, column(h))
		}
	} else if class, ok := classOf(&f.q); ok {
		index, condition, args = "by_n", "n = ? AND ", []any{class}
	}
	if index != "" && r.indexed {
		index = " INDEXED BY " + index
	} else {
		index = ""
	}
	return index + " WHERE " + condition + "k >= ? AND k < ?", append(args, int64(f.from), int64(f.below))
}

// classOf is the class that all rows asked for are of.
func classOf(q *audit.Query) (int64, bool) {
	switch {
	case q.Kind != "" && q.Kind != audit.Decision:
		return classOther, true
	case q.Verdict == audit.Deny:
		return classDeny, true
	case q.Verdict == audit.Unavailable:
		return classUnavailable, true
	case q.Verdict == "" && q.Reason != "" && q.Kind == audit.Decision:
		if q.Reason.Info().Unavailable {
			return classUnavailable, true
		}
		return classDeny, true
	}
	return 0, false
}
