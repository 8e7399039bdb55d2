package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/usher-im/usher/internal/audit"
)

// question is one that the project promises to answer quickly.
type question struct {
	name string
	// about chooses the events that it is asked about, so many: with values of every frequency, or from all of the time.
	about func(w *world, n int) []int
	// ask asks about one, and says how much was found.
	ask func(ctx context.Context, s audit.Store, w *world, event int) (int, error)
}

func query(f func(w *world, event int) audit.Query) func(context.Context, audit.Store, *world, int) (int, error) {
	return func(ctx context.Context, s audit.Store, w *world, event int) (int, error) {
		q := f(w, event)
		q.Kind = audit.Decision
		page, err := audit.NewReader(s, nil).Query(ctx, q)
		return len(page.Events), err
	}
}

const (
	hour = time.Hour
	day  = 24 * time.Hour
	week = 7 * day
)

var questions = []question{
	{"room, last hour",
		func(w *world, n int) []int { return w.spread(n, w.since(hour), roomOf) },
		query(func(w *world, e int) audit.Query { return audit.Query{Room: w.room(e), Since: w.end().Add(-hour)} })},
	{"fingerprint, everything", (*world).overTime,
		query(func(w *world, e int) audit.Query { return audit.Query{Fingerprint: w.fingerprint(e)} })},
	{"jti, everything", (*world).overTime,
		query(func(w *world, e int) audit.Query { return audit.Query{JTI: w.jti(e)} })},
	{"user, 30 days",
		func(w *world, n int) []int { return w.spread(n, 0, userOf) },
		query(func(w *world, e int) audit.Query { return audit.Query{User: w.user(e), Since: w.start} })},
	{"newest denies", (*world).overTime,
		query(func(*world, int) audit.Query { return audit.Query{Verdict: audit.Deny} })},
	{"address, 7 days",
		func(w *world, n int) []int { return w.spread(n, w.since(week), addressOf) },
		query(func(w *world, e int) audit.Query {
			return audit.Query{RemoteIP: w.address(e), Since: w.end().Add(-week)}
		})},
	{"denies per 5 minutes, a day", (*world).overTime,
		count(func(*world, int) audit.Query { return audit.Query{} })},
	{"denies per 5 minutes of a room",
		func(w *world, n int) []int { return w.spread(n, 0, roomOf) },
		count(func(w *world, e int) audit.Query { return audit.Query{Verdict: audit.Deny, Room: w.room(e)} })},
	{"one by its id", (*world).overTime,
		func(ctx context.Context, s audit.Store, w *world, event int) (int, error) {
			e := w.event(event)
			got, found, err := audit.NewReader(s, nil).Get(ctx, e.ID)
			if !found || got.ID != e.ID {
				return 0, err
			}
			return 1, err
		}},
}

// count counts over the day before a whole number of days before the end.
func count(f func(w *world, event int) audit.Query) func(context.Context, audit.Store, *world, int) (int, error) {
	return func(ctx context.Context, s audit.Store, w *world, event int) (int, error) {
		q := f(w, event)
		q.Until = w.end().Add(-time.Duration(random(event, 101)%uint64(w.days())) * day)
		q.Since = q.Until.Add(-day)
		counts, err := audit.NewReader(s, nil).Stats(ctx, audit.StatsQuery{Query: q})
		return len(counts), err
	}
}

const (
	warmTarget = 30 * time.Millisecond
	coldTarget = 50 * time.Millisecond
	// opening is how many questions open files before one counts as warm.
	opening = 3
)

// ask asks every question many times and says whether a target was missed.
func ask(s audit.Store, w *world, runs int) (missed bool, err error) {
	ctx := context.Background()
	for _, q := range questions {
		var all []answer
		for n, event := range q.about(w, runs+opening) {
			begun := time.Now()
			found, err := q.ask(ctx, s, w, event)
			if err != nil {
				return true, fmt.Errorf("%s: %w", q.name, err)
			}
			if n >= opening {
				all = append(all, answer{time.Since(begun), found})
			}
		}
		late, err := say("warm", q.name, all, warmTarget)
		if err != nil {
			return true, err
		}
		missed = late || missed
	}
	return missed, nil
}

// answer is how long one took, and how much it had.
type answer struct {
	took  time.Duration
	found int
}

var errNothing = errors.New("every question is about something that is there, and this one found nothing")

// say prints what the answers to one kind of question took; true where the target was missed.
func say(how, name string, all []answer, target time.Duration) (bool, error) {
	var took []time.Duration
	var found []int
	for _, a := range all {
		took, found = append(took, a.took), append(found, a.found)
	}
	slices.Sort(took)
	slices.Sort(found)
	p50, p99, worst := took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	mark := ""
	if p99 > target {
		mark = "  MISSED"
	}
	fmt.Printf("%s  %-32s p50 %7.2f ms  p99 %7.2f ms  worst %7.2f ms  %d asked, %d to %d found, median %d%s\n",
		how, name, ms(p50), ms(p99), ms(worst), len(all), found[0], found[len(found)-1], found[len(found)/2], mark)
	// A room may have been refused nothing on a day; any other answer that is empty is wrong.
	if found[0] == 0 && name != "denies per 5 minutes of a room" || found[len(found)-1] == 0 {
		return true, fmt.Errorf("%s, %s: %w", name, how, errNothing)
	}
	return p99 > target, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
