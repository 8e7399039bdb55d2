package main

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/usher-im/usher/internal/bench/load"
	"github.com/usher-im/usher/internal/bench/report"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/token"
)

// auditRate is the decisions a second at which the audit is measured.
const auditRate = 20_000

// audit compares decisions with the audit on and off at a fixed rate: what one takes inside the verifier, which is the
// audit's to keep, and what its answer takes over HTTP.
func (r *run) audit() error {
	if err := r.auditInside(); err != nil {
		return err
	}
	return r.auditOutside()
}

// checked is a line of the audit's benchmark: on or off, p50, p99 and CPU of a decision in microseconds.
var checked = regexp.MustCompile(`(?m)^audit (true|false) .* p50 +([0-9.]+) µs, p99 +([0-9.]+) µs, +([0-9.]+) µs of CPU`)

// auditInside has the audit's own benchmark check signatures at that rate, on and off in turn.
func (r *run) auditInside() error {
	root, err := proc.RepoRoot()
	if err != nil {
		return err
	}
	seconds := strconv.Itoa(int(r.seconds(6)))
	// It fails also where a figure was missed, which is for the report to say.
	out, failed := r.command(root, "go", "run", "./internal/audit/auditbench",
		"-rate", strconv.Itoa(auditRate), "-seconds", seconds, "-rounds", strconv.Itoa(r.rounds)).Output()
	seen := map[string]map[int][]float64{"true": {}, "false": {}}
	for _, line := range checked.FindAllStringSubmatch(string(out), -1) {
		for n, text := range line[2:] {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("read a figure of the audit's benchmark: %w", err)
			}
			seen[line[1]][n] = append(seen[line[1]][n], v)
		}
	}
	on, off := seen["true"], seen["false"]
	if len(on[0]) < r.rounds || len(off[0]) < r.rounds {
		return fmt.Errorf("the audit's benchmark measured less than %d rounds: %v\n%s", r.rounds, failed, out)
	}
	what := fmt.Sprintf("on against off, %d decisions a second: ", auditRate)
	for n, q := range []string{"p50", "p99"} {
		r.report.Add(report.Row{Part: "audit", What: what + q + " of a decision", Unit: "×", Rounds: report.Ratios(on[n], off[n]), Target: report.Most(1.1),
			Beside: fmt.Sprintf("%.1f over %.1f µs", report.Median(on[n]), report.Median(off[n]))})
	}
	r.report.Add(report.Row{Part: "audit", What: "CPU of the audit for an event", Unit: "µs", Rounds: less(on[2], off[2]), Target: report.Most(6),
		Beside: fmt.Sprintf("%.1f over %.1f µs a decision", report.Median(on[2]), report.Median(off[2]))})
	return nil
}

// auditOutside asks over HTTP. The load keeps a core busy, as a Prosody does, and the verifier goes where it finds time:
// with more threads it is put behind the load more often, which the p99 shows.
func (r *run) auditOutside() error {
	on, err := r.serve("usher with its audit", "--audit", core(-1))
	if err != nil {
		return err
	}
	off, err := r.serve("usher without audit", core(-1))
	if err != nil {
		return err
	}
	j := r.closed(load.Seen, token.RS256, 16)
	j.Rate, j.Seconds = auditRate, r.seconds(2)
	var all contests
	with, without := all.add(on, j), all.add(off, j)
	if err := all.measure(r); err != nil {
		return err
	}
	r.latencies("audit", "the same over HTTP", with, without)
	mine, theirs := with.each(perRequest), without.each(perRequest)
	r.report.Add(report.Row{Part: "audit", What: "the same over HTTP: CPU, more for a request", Unit: "µs", Rounds: less(mine, theirs),
		Beside: fmt.Sprintf("%.1f over %.1f µs", report.Median(mine), report.Median(theirs))})
	return nil
}

// less takes round from round.
func less(a, b []float64) []float64 {
	var out []float64
	for n := range min(len(a), len(b)) {
		out = append(out, a[n]-b[n])
	}
	return out
}
