package main

import (
	"fmt"

	"github.com/usher-im/usher/internal/bench/load"
	"github.com/usher-im/usher/internal/bench/report"
	"github.com/usher-im/usher/internal/token"
)

// auditRate is the decisions a second at which the audit is measured.
const auditRate = 20_000

// audit compares the verifier with its audit on and off at a fixed rate, on both cores: on one, whoever has it makes the
// other wait. What the audit uses of the CPU, its store on disk included, is the difference between both.
func (r *run) audit() error {
	on, err := r.serve("usher with its audit", "--audit", core(-1))
	if err != nil {
		return err
	}
	off, err := r.serve("usher without audit", core(-1))
	if err != nil {
		return err
	}
	j := r.closed(load.Seen, token.RS256, 16)
	j.Rate, j.Seconds, j.Core = auditRate, r.seconds(2), -1
	var all contests
	with, without := all.add(on, j), all.add(off, j)
	if err := all.measure(r); err != nil {
		return err
	}
	what := fmt.Sprintf("audit on against off, %d decisions a second", auditRate)
	r.latencies("audit", what, with, without, report.Most(1.1), report.Most(1.1))
	mine, theirs := with.each(perRequest), without.each(perRequest)
	var rounds []float64
	for n := range mine {
		rounds = append(rounds, mine[n]-theirs[n])
	}
	r.report.Add(report.Row{Part: "audit", What: "CPU of the audit for an event", Unit: "µs", Rounds: rounds, Target: report.Most(6),
		Beside: fmt.Sprintf("%.1f over %.1f µs a request", report.Median(mine), report.Median(theirs))})
	return nil
}
