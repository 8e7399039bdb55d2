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
	f := search{filter: q.Filter(), q: q}
	f.from, f.below = q.Range()
	f.below = min(f.below, place.K)
	var page audit.Page
	err = s.steadily(func() (err error) {
		f.end = time.Now().Add(patience)
		page, err = f.newestFirst(ctx, s.between(f.from, f.below))
		return err
	})
	return page, remedied(err)
}

// newestFirst asks slice after slice until the page is full, some ahead of the one whose turn it is: few where the
// newest slice may well be enough, many where the query looks for a term, and only those that have it.
func (f *search) newestFirst(ctx context.Context, all []*slice) (audit.Page, error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	start := func(p *part) {
		p.answer = make(chan found, 1)
		running.Go(func() { p.answer <- f.in(ctx, p) })
	}
	var page audit.Page
	if !f.hasTerm() {
		_, err := f.answer(&page, partsOf(all), 1, start)
		return page, err
	}
	for len(all) > 0 {
		var parts []*part
		parts, all = f.seek(all, f.q.Limit-len(page.Events), start)
		if done, err := f.answer(&page, parts, fanOut, start); done || err != nil {
			return page, err
		}
	}
	return page, nil
}

// hasTerm says that the query looks for something that indexes have.
func (f *search) hasTerm() bool {
	_, hashes := audit.Hasher(0).Search(&f.q)
	return len(hashes) > 0
}

// answer fills the page from parts; true where it is complete.
func (f *search) answer(page *audit.Page, parts []*part, ahead int, start func(*part)) (bool, error) {
	next := 0
	for n, p := range parts {
		for ; next < min(n+ahead, len(parts)); next++ {
			if parts[next].answer == nil {
				start(parts[next])
			}
		}
		if done, err := f.add(page, <-p.answer); done || err != nil {
			return true, err
		}
		ahead = min(2*ahead, fanOut)
	}
	return false, nil
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
func (f *search) in(ctx context.Context, part *part) found {
	sl := part.slice
	release, err := sl.hold()
	if err != nil {
		return found{}
	}
	defer release()
	if !part.sought {
		part.seekNow(f)
	}
	w := part.way
	if part.err != nil || w.nowhere() {
		return found{err: part.err}
	}
	if w.known {
		var out found
		if p := sl.openPages(); p != nil && f.visit(p, part, func(k uint64, e audit.Event) bool { out.add(k, e); return len(out.events) < f.q.Limit }) == nil {
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
