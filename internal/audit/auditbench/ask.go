package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/sqlitestore"
)

// question is one that the project promises to answer quickly.
type question struct {
	name string
	ask  func(ctx context.Context, s audit.Store, w *world, nth int) (int, error)
}

func query(f func(w *world, event int) audit.Query) func(context.Context, audit.Store, *world, int) (int, error) {
	return func(ctx context.Context, s audit.Store, w *world, nth int) (int, error) {
		q := f(w, int(random(nth, 100)%uint64(w.rows)))
		q.Kind = audit.Decision
		page, err := audit.NewReader(s, nil).Query(ctx, q)
		return len(page.Events), err
	}
}

var questions = []question{
	{"room, last hour", query(func(w *world, n int) audit.Query { return audit.Query{Room: w.room(n), Since: w.end().Add(-time.Hour)} })},
	{"fingerprint, everything", query(func(w *world, n int) audit.Query { return audit.Query{Fingerprint: w.fingerprint(n)} })},
	{"jti, everything", query(func(w *world, n int) audit.Query { return audit.Query{JTI: w.jti(n)} })},
	{"user, 30 days", query(func(w *world, n int) audit.Query { return audit.Query{User: w.user(n), Since: w.start} })},
	{"newest denies", query(func(*world, int) audit.Query { return audit.Query{Verdict: audit.Deny} })},
	{"address, 7 days", query(func(w *world, n int) audit.Query {
		return audit.Query{RemoteIP: w.address(n), Since: w.end().Add(-7 * 24 * time.Hour)}
	})},
	{"denies per 5 minutes, a day", func(ctx context.Context, s audit.Store, w *world, nth int) (int, error) {
		until := w.end().Add(-time.Duration(random(nth, 101)%28) * 24 * time.Hour)
		counts, err := audit.NewReader(s, nil).Stats(ctx, audit.StatsQuery{Query: audit.Query{Until: until, Since: until.Add(-24 * time.Hour)}})
		return len(counts), err
	}},
	{"denies per 5 minutes of a room", func(ctx context.Context, s audit.Store, w *world, nth int) (int, error) {
		until := w.end().Add(-time.Duration(random(nth, 101)%28) * 24 * time.Hour)
		q := audit.Query{Until: until, Since: until.Add(-24 * time.Hour), Verdict: audit.Deny, Room: w.room(nth)}
		counts, err := audit.NewReader(s, nil).Stats(ctx, audit.StatsQuery{Query: q})
		return len(counts), err
	}},
	{"one by its id", func(ctx context.Context, s audit.Store, w *world, nth int) (int, error) {
		e := w.event(int(random(nth, 100) % uint64(w.rows)))
		_, found, err := audit.NewReader(s, nil).Get(ctx, e.ID)
		if !found {
			return 0, errors.Join(err, errors.New("not found"))
		}
		return 1, err
	}},
}

const (
	warmTarget = 30 * time.Millisecond
	coldTarget = 50 * time.Millisecond
	coldRuns   = 20
)

// ask asks every question many times and says whether a target was missed.
func ask(s audit.Store, w *world, runs int) (missed bool, err error) {
	ctx := context.Background()
	for _, q := range questions {
		var took []time.Duration
		var found int
		for n := range runs + 3 {
			begun := time.Now()
			k, err := q.ask(ctx, s, w, n)
			if err != nil {
				return true, fmt.Errorf("%s: %w", q.name, err)
			}
			if n >= 3 { // the first ones open files
				took, found = append(took, time.Since(begun)), found+k
			}
		}
		missed = say("warm", q.name, took, found/runs, warmTarget) || missed
	}
	return missed, nil
}

func say(how, name string, took []time.Duration, found int, target time.Duration) bool {
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	mark := ""
	if p99 > target {
		mark = "  MISSED"
	}
	fmt.Printf("%s  %-32s p50 %7.2f ms  p99 %7.2f ms  worst %7.2f ms  (%d found)%s\n", how, name, ms(p50), ms(p99), ms(took[len(took)-1]), found, mark)
	return p99 > target
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// askCold asks each question in new processes, with the files' pages dropped before.
func askCold(dir string, rows int) (missed bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return true, err
	}
	for _, q := range questions {
		var took []time.Duration
		for n := range coldRuns {
			if err := dropPages(dir); err != nil {
				return true, err
			}
			out, err := exec.Command(self, "-dir", dir, "-rows", strconv.Itoa(rows), "-one", q.name, "-nth", strconv.Itoa(1000+n)).Output()
			if err != nil {
				return true, fmt.Errorf("%s, cold: %w", q.name, err)
			}
			us, err := strconv.Atoi(strings.TrimSpace(string(out)))
			if err != nil {
				return true, err
			}
			took = append(took, time.Duration(us)*time.Microsecond)
		}
		missed = say("cold", q.name, took, 0, coldTarget) || missed
	}
	return missed, nil
}

func dropPages(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = errors.Join(unix.Fdatasync(int(f.Fd())), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

func askOne(dir string, rows int, name string, nth int) error {
	w := newWorld(rows)
	for _, q := range questions {
		if q.name != name {
			continue
		}
		s, err := sqlitestore.Open(context.Background(), dir, sqlitestore.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		defer s.Close()
		begun := time.Now()
		if _, err := q.ask(context.Background(), s, w, nth); err != nil {
			return err
		}
		fmt.Println(time.Since(begun).Microseconds())
		return nil
	}
	return fmt.Errorf("there is no question %q", name)
}
