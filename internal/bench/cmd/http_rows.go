package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/usher-im/usher/internal/bench/load"
	"github.com/usher-im/usher/internal/bench/report"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/token"
)

// versus adds the rows of one load on two servers: CPU a request; requests a second and p99 of those rounds in which the
// floor kept its core busy, since otherwise they tell of the load and not of the server. most are the targets in this
// order.
func (r *run) versus(what string, a, floor *contest, most ...*report.Target) {
	target := func(n int) *report.Target {
		if n < len(most) {
			return most[n]
		}
		return nil
	}
	r.cost(what, a, floor, target(0))
	busy := &contest{}
	kept := &contest{}
	for n := range min(len(a.seen), len(floor.seen)) {
		if floor.seen[n].Busy() >= .95 {
			busy.seen, kept.seen = append(busy.seen, a.seen[n]), append(kept.seen, floor.seen[n])
		}
	}
	percent := report.Ratios(busy.each(rate), kept.each(rate))
	for n := range percent {
		percent[n] *= 100
	}
	r.report.Add(report.Row{Part: "http", What: what + ": requests a second", Unit: "%", Rounds: percent, Target: target(1),
		Beside: fmt.Sprintf("%.0f of %.0f a second", report.Median(busy.each(rate)), report.Median(kept.each(rate)))})
	r.report.Add(report.Row{Part: "http", What: what + ": p99", Unit: "×", Rounds: report.Ratios(busy.each(p99), kept.each(p99)), Target: target(2),
		Beside: fmt.Sprintf("%.0f over %.0f µs", report.Median(busy.each(p99)), report.Median(kept.each(p99)))})
}

// cost adds the row of CPU a request.
func (r *run) cost(what string, a, floor *contest, most *report.Target) {
	mine, theirs := a.each(perRequest), floor.each(perRequest)
	r.report.Add(report.Row{Part: "http", What: what + ": CPU", Unit: "×", Rounds: report.Ratios(mine, theirs), Target: most,
		Beside: fmt.Sprintf("%.1f over %.1f µs a request", report.Median(mine), report.Median(theirs))})
}

// fixedRate asks at fixed moments, half as often as the bare handler could answer, and compares how long answers take.
func (r *run) fixedRate(s httpServers) error {
	j := r.closed(load.Seen, token.RS256, 16)
	top, err := r.ask(s.bare, j)
	if err != nil {
		return err
	}
	j.Rate, j.Seconds = top.Rate()/2, r.seconds(1.5)
	var all contests
	usher, bare := all.add(s.usher, j), all.add(s.bare, j)
	if err := all.measure(r); err != nil {
		return err
	}
	r.latencies("http", fmt.Sprintf("all seen, %.0f a second", j.Rate), usher, bare)
	return nil
}

// latencies adds the rows of p50, p99 and p99.9.
func (r *run) latencies(part, what string, a, floor *contest, most ...*report.Target) {
	for n, q := range []struct {
		name string
		of   func(load.Result) float64
	}{{"p50", p50}, {"p99", p99}, {"p99.9", p999}} {
		mine, theirs := a.each(q.of), floor.each(q.of)
		row := report.Row{Part: part, What: what + ": " + q.name, Unit: "×", Rounds: report.Ratios(mine, theirs),
			Beside: fmt.Sprintf("%.0f over %.0f µs", report.Median(mine), report.Median(theirs))}
		if n < len(most) {
			row.Target = most[n]
		}
		r.report.Add(row)
	}
}

// awaitPort waits until something listens.
func awaitPort(ctx context.Context, p *proc.Process, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-p.Done():
			return fmt.Errorf("%s ended at once:\n%s", p.Name, p.Log.Tail(20))
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s:\n%s", p.Name, address, p.Log.Tail(20))
		}
	}
}
