package sqlitestore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/usher-im/usher/internal/audit"
)

// patience is how long one page may search; what is found by then is the page, and its cursor goes on.
const patience = 2 * time.Second

// fanOut is how many slices are asked at once: more than there are cores, since they wait for the disk.
const fanOut = 12

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
	return f.newestFirst(ctx, s.between(f.from, f.below))
}

// newestFirst asks slice after slice until the page is full, some ahead of the one whose turn it is: many where the
// query looks for a term, which most slices do not have, few where the newest slice may well be enough.
func (f *search) newestFirst(ctx context.Context, all []*slice) (audit.Page, error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	ahead := 1
	if _, hashes := audit.Hasher(0).Search(&f.q); len(hashes) > 0 {
		ahead = fanOut
		f.warm(all)
	}
	var page audit.Page
	var asked []chan found
	for len(all) > 0 || len(asked) > 0 {
		for len(all) > 0 && len(asked) < ahead {
			sl, answer := all[len(all)-1], make(chan found, 1)
			all, asked = all[:len(all)-1], append(asked, answer)
			running.Go(func() { answer <- f.in(ctx, sl) })
		}
		done, err := f.add(&page, <-asked[0])
		if done || err != nil {
			return page, err
		}
		asked = asked[1:]
		ahead = min(2*ahead, fanOut)
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

// add puts what a slice gave on the page; true where the page is complete.
func (f *search) add(page *audit.Page, r found) (bool, error) {
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
	return false, nil
}

// in searches one slice.
func (f *search) in(ctx context.Context, sl *slice) found {
	release, err := sl.hold()
	if err != nil {
		return found{}
	}
	defer release()
	w, err := f.way(sl)
	if err != nil || w.nowhere() {
		return found{err: err}
	}
	if w.known {
		var out found
		if p := sl.openPages(); p != nil && f.visit(p, w.keys, func(k uint64, e audit.Event) bool { out.add(k, e); return len(out.events) < f.q.Limit }) == nil {
			return out
		}
	}
	r, err := sl.open(ctx)
	if err != nil {
		return found{err: err}
	}
	one, err := r.session(ctx)
	if err != nil {
		return found{err: fmt.Errorf("search %s: %w", sl.path, err)}
	}
	defer one.close()
	filter := f.filter.Coded(one.number)
	if filter == nil {
		return found{}
	}
	w.fit(r, &f.q)
	var out found
	if w.forward {
		err = one.walk(w, filter, func(k uint64, e audit.Event) bool { out.add(k, e); return true })
		out.turn(f.q.Limit)
	} else {
		w.late = func() bool { return time.Now().After(f.end) }
		w.order = " ORDER BY k DESC"
		out.reached, err = one.walkUntil(w, filter, func(k uint64, e audit.Event) bool { out.add(k, e); return len(out.events) < f.q.Limit })
	}
	if err != nil {
		out.err = fmt.Errorf("search %s: %w", sl.path, err)
	}
	return out
}

func (o *found) add(k uint64, e audit.Event) {
	o.events, o.keys = append(o.events, e), append(o.keys, k)
}

// turn makes what was found oldest first newest first.
func (o *found) turn(limit int) {
	slices.Reverse(o.events)
	slices.Reverse(o.keys)
	n := min(limit, len(o.events))
	o.events, o.keys = o.events[:n], o.keys[:n]
}
