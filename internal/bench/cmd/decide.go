package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/bench/report"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/token"
)

// goBenchmarks are the packages whose Go benchmarks a run takes, with what it takes of them.
var goBenchmarks = []struct{ folder, pattern string }{
	{"internal/bench", "Decide"},
	{"internal/server", "Answer"},
}

// figures has what Go benchmarks reported, by benchmark and unit, one figure a round.
type figures map[string]map[string][]float64

func (f figures) of(name, unit string) []float64 { return f[name][unit] }

// decide runs the Go benchmarks, each round all of them. Their output as it was is left for benchstat.
func (r *run) decide() error {
	root, err := proc.RepoRoot()
	if err != nil {
		return err
	}
	all := figures{}
	raw, err := os.Create(filepath.Join(r.out, "go.txt"))
	if err != nil {
		return fmt.Errorf("write what the Go benchmarks print: %w", err)
	}
	defer raw.Close()
	for _, b := range goBenchmarks {
		binary := filepath.Join(r.dir, strings.ReplaceAll(b.folder, "/", "-")+".test")
		if err := r.command(root, "go", "test", "-c", "-o", binary, "./"+b.folder).Run(); err != nil {
			return fmt.Errorf("build the benchmarks of %s: %w", b.folder, err)
		}
		for n := range r.rounds {
			r.say("  %s, round %d of %d", b.folder, n+1, r.rounds)
			cmd := r.command(filepath.Join(root, b.folder), binary, "-test.run=^$", "-test.bench="+b.pattern,
				"-test.benchtime="+strconv.FormatFloat(r.seconds(.2), 'f', 2, 64)+"s", "-test.cpu=1")
			var out bytes.Buffer
			cmd.Stdout = &out
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("run the benchmarks of %s: %w: %s", b.folder, err, out.String())
			}
			if _, err := raw.Write(out.Bytes()); err != nil {
				return fmt.Errorf("write what the Go benchmarks print: %w", err)
			}
			all.read(out.String())
		}
	}
	r.decideRows(all)
	r.doorRows(all)
	return nil
}

func (r *run) command(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(r.ctx, name, args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	return cmd
}

// read takes the lines of `go test -bench`: a name, the number of runs, then pairs of a figure and its unit.
func (f figures) read(text string) {
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if f[name] == nil {
			f[name] = map[string][]float64{}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				f[name][fields[i+1]] = append(f[name][fields[i+1]], v)
			}
		}
	}
}

const (
	cpuTime  = "cpu-ns/op"
	pathTime = "path-ns/op"
	allocs   = "allocs/op"
)

// coldTargets are what a new token may cost over the bare check of its signature.
var coldTargets = map[token.Algorithm]float64{token.RS256: 1.20, token.ES256: 1.10, token.EdDSA: 1.15}

func (r *run) decideRows(f figures) {
	for _, alg := range fixture.Algorithms() {
		name := "Decide/" + string(alg) + "/"
		cold, bare := f.of(name+"cold", cpuTime), f.of(name+"bare", cpuTime)
		row := report.Row{Part: "decide", What: string(alg) + " cold, over the bare check", Unit: "×", Rounds: report.Ratios(cold, bare), Beside: over(cold, bare)}
		if most, ok := coldTargets[alg]; ok {
			row.Target = report.Most(most)
		}
		r.report.Add(row)
		if alg == token.HS256 {
			r.report.Add(report.Row{Part: "decide", What: "HS256 cold", Unit: "µs", Rounds: thousandth(cold), Target: report.Most(5)})
		}
		jwx := f.of(name+"jwx", cpuTime)
		r.report.Add(report.Row{Part: "decide", What: string(alg) + " plain jwx jwt.Parse, over the bare check", Unit: "×", Rounds: report.Ratios(jwx, bare), Beside: over(jwx, bare)})
		for _, how := range []string{"warm", "grant"} {
			r.report.Add(report.Row{Part: "decide", What: string(alg) + " " + how, Unit: "µs", Rounds: thousandth(f.of(name+how, cpuTime)), Target: report.Most(1.2)})
			r.report.Add(report.Row{Part: "decide", What: string(alg) + " " + how + ", allocations", Rounds: f.of(name+how, allocs), Target: report.Most(0)})
		}
	}
	// Beside a million revocations and the audit: what the asking thread does. The audit's own work has its own row.
	r.report.Add(report.Row{Part: "decide", What: "RS256 warm, 1M revocations, audit on", Unit: "µs", Rounds: thousandth(f.of("Answer/all/judge", pathTime)), Target: report.Most(2)})
	r.report.Add(report.Row{Part: "decide", What: "the same, allocations", Rounds: f.of("Answer/all/judge", allocs), Target: report.Most(1)})
	r.more(f, "decide", "1M revocations, more for a verdict", "Answer/million/judge", "Answer/plain/judge", .25)
}

func (r *run) doorRows(f figures) {
	for _, c := range []struct {
		set, what, cpu string
		bound          bool
	}{
		{"plain", "", cpuTime, true},
		{"million", ", 1M revocations", cpuTime, false},
		{"audited", ", audit on (the asking thread)", pathTime, false},
	} {
		name := "Answer/" + c.set + "/"
		for _, how := range []string{"warm", "join"} {
			time := report.Row{Part: "door", What: how + c.what, Unit: "µs", Rounds: thousandth(f.of(name+how, c.cpu))}
			count := report.Row{Part: "door", What: how + c.what + ", allocations", Rounds: f.of(name+how, allocs)}
			if c.bound {
				time.Target, count.Target = report.Most(3), report.Most(8)
			}
			r.report.Add(time)
			r.report.Add(count)
		}
		cold, bare := f.of(name+"cold", c.cpu), f.of(name+"bare", c.cpu)
		row := report.Row{Part: "door", What: "RS256 cold" + c.what + ", over the bare check", Unit: "×", Rounds: report.Ratios(cold, bare), Beside: over(cold, bare)}
		if c.bound {
			row.Target = report.Most(1.35)
		}
		r.report.Add(row)
	}
	for _, how := range []string{"warm", "join"} {
		r.more(f, "door", "1M revocations, more for "+how, "Answer/million/"+how, "Answer/plain/"+how, .25)
	}
}

// more adds the difference of two benchmarks in microseconds.
func (r *run) more(f figures, part, what, with, without string, most float64) {
	a, b := f.of(with, cpuTime), f.of(without, cpuTime)
	var rounds []float64
	for n := range min(len(a), len(b)) {
		rounds = append(rounds, (a[n]-b[n])/1000)
	}
	r.report.Add(report.Row{Part: part, What: what, Unit: "µs", Rounds: rounds, Target: report.Most(most), Beside: over(a, b)})
}

// over says what a ratio is of, in microseconds.
func over(figures, floors []float64) string {
	return fmt.Sprintf("%.2f over %.2f µs", report.Median(figures)/1000, report.Median(floors)/1000)
}

func thousandth(figures []float64) []float64 {
	out := make([]float64, len(figures))
	for n, v := range figures {
		out[n] = v / 1000
	}
	return out
}
