package revoke_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/usher-im/usher/internal/e2e"
)

// What is measured.
const (
	idle   = "nothing: how late a timer fires"
	denied = "next verify denied on every node"
	kicked = "out of the room"
	closed = "stream closed"
)

// goal is what 99 of 100 must stay below.
func goal(what string, via e2e.Via) time.Duration {
	switch {
	case what == denied:
		return 5 * time.Millisecond
	case what == kicked:
		return 50 * time.Millisecond
	case via == e2e.BOSH:
		return 500 * time.Millisecond
	}
	return 100 * time.Millisecond
}

type measure struct {
	what string
	via  e2e.Via
}

// results collects how long things took.
type results struct {
	mu    sync.Mutex
	times map[measure][]time.Duration
}

func newResults() *results { return &results{times: map[measure][]time.Duration{}} }

func (r *results) add(what string, via e2e.Via, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := measure{what, via}
	// What was there before the acknowledgement was there at once.
	r.times[m] = append(r.times[m], max(0, took))
}

// control measures the machine itself: by how much everything here is late when others want its CPUs too.
func (r *results) control(ctx context.Context) {
	for ctx.Err() == nil {
		begun := time.Now()
		time.Sleep(time.Millisecond)
		r.add(idle, "", time.Since(begun)-time.Millisecond)
	}
}

// watch waits for what becomes of a session.
func (r *results) watch(t *testing.T, s *inside, acknowledged time.Time) {
	for _, step := range []struct {
		what string
		at   <-chan time.Time
	}{{kicked, s.kicked}, {closed, s.closed}} {
		at, seen := <-step.at
		if !seen {
			t.Errorf("%s (%s) never saw: %s", s.name, s.via, step.what)
			return
		}
		r.add(step.what, s.via, at.Sub(acknowledged))
	}
}

// order is that of the table.
func (r *results) order() (all []measure) {
	for _, what := range []string{idle, denied, kicked, closed} {
		for _, via := range append([]e2e.Via{""}, transports...) {
			if m := (measure{what, via}); len(r.times[m]) > 0 {
				slices.Sort(r.times[m])
				all = append(all, m)
			}
		}
	}
	return all
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (r *results) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "from the acknowledgement to\tby\tn\tp50\tp99\tmax\tgoal for p99\t")
	for _, m := range r.order() {
		all := r.times[m]
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t\n", m.what, m.via, len(all),
			short(quantile(all, .5)), short(quantile(all, .99)), short(all[len(all)-1]), goalOf(m))
	}
	w.Flush()
	return b.String()
}

func goalOf(m measure) string {
	if m.what == idle {
		return "-"
	}
	return goal(m.what, m.via).String()
}

func short(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// missed are the goals that were not met.
func (r *results) missed() (all []string) {
	for _, m := range r.order() {
		if got := quantile(r.times[m], .99); m.what != idle && got >= goal(m.what, m.via) {
			all = append(all, fmt.Sprintf("%s %s: p99 %s", m.what, m.via, short(got)))
		}
	}
	return all
}

// load says what else the machine was doing, since it shares its CPUs with that.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "load unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return fmt.Sprintf("load %s on %d CPUs", one, runtime.NumCPU())
}
