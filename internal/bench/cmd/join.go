package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/bench/join"
	"github.com/usher-im/usher/internal/bench/report"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/token"
)

// joinCmd does the job on stdin and writes what it saw to stdout.
type joinCmd struct{}

func (*joinCmd) Run(ctx context.Context) error {
	var j join.Job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	result, err := join.Run(ctx, j)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// What deploy/prosody recommends, here on all sides alike. With rooms on disk, as is Prosody's own default, to give an
// occupant an affiliation deletes three files.
const (
	network = "network_settings = { nagle = false, opportunistic_writes = true }\n"
	rooms   = "storage = \"memory\"\n"
)

// lanes is how many clients log in at a time: enough to keep Prosody's core busy.
const lanes = 24

// joins is how many there are in a round.
const joins = 200

// openings is how often all is begun anew: one and the same Prosody is some percent faster or slower from one start to
// the next, for as long as it runs.
const openings = 5

// entrance is a Prosody that clients enter, with or without usher.
type entrance struct {
	*prosody.Server
	job join.Job
}

// results are those of one gate, round by round.
type results []join.Result

// join compares a Prosody that lets everybody in anonymously with one that asks usher, on every release there is.
// Prosody has a core for itself; the clients and the verifier share the other.
func (r *run) join() error {
	releases, err := prosody.Releases()
	if err != nil {
		return err
	}
	if err := r.buildUsher(); err != nil {
		return err
	}
	tokens := fixture.RoamingTokens(token.RS256, manyTokens, time.Now())
	for _, release := range releases {
		if err := r.joinOn(release, tokens); err != nil {
			return fmt.Errorf("join on Prosody %s: %w", release.Name, err)
		}
	}
	return nil
}

func (r *run) joinOn(release prosody.Release, tokens []string) error {
	// The harness reads what Prosody logs: that must not happen on Prosody's core.
	if err := cpu.Bind(os.Getpid(), loadCore); err != nil {
		return err
	}
	defer cpu.Bind(os.Getpid(), -1)
	v, err := r.startUsher("")
	if err != nil {
		return err
	}
	defer v.Stop()
	gates := []gate{{}, {v: v, shown: tokens}, {shown: tokens}, {v: v, shown: tokens, least: true}}
	seen := make([]results, len(gates))
	for n := range openings {
		r.say("  Prosody %s, opening %d of %d", release.Name, n+1, openings)
		if err := r.joinRounds(release, gates, seen, max(1, r.short()/openings)); err != nil {
			return err
		}
	}
	r.joinRows("Prosody "+release.Name, seen[0], seen[1], seen[2], seen[3])
	return nil
}

// joinRounds opens an entrance for each gate, and has clients enter them in turn; the first round does not count. Each gate
// has a Prosody of its own: it slows down with all that it has done, so that each must have done the same.
func (r *run) joinRounds(release prosody.Release, gates []gate, seen []results, rounds int) error {
	entrances := make([]*entrance, len(gates))
	for n, g := range gates {
		e, err := r.entrance(release, g)
		if err != nil {
			return err
		}
		defer e.Stop()
		entrances[n] = e
	}
	for round := range rounds + 1 {
		for n, e := range entrances {
			result, err := r.enter(e.job)
			if err != nil {
				return fmt.Errorf("%w\n%s", err, e.Log.Tail(20))
			}
			if round > 0 {
				seen[n] = append(seen[n], result)
			}
		}
	}
	return nil
}

// gate is how an entrance decides whom it lets in: without a verifier everybody, else whom usher allows. The least of gates
// asks as usher does, at login with the token and at join with the grant, and does nothing else that usher does: it escapes
// nothing, reads nothing of an answer but what it needs to go on, and gives the session nothing.
type gate struct {
	v     *verifier.Verifier
	least bool
	shown []string // the tokens that clients show
	under []string // a command that runs Prosody; none: Prosody runs by itself
}

// entrance starts a Prosody, with further modules beside those that clients need.
func (r *run) entrance(release prosody.Release, gate gate, modules ...string) (*entrance, error) {
	v := gate.v
	dir, err := r.folder("prosody")
	if err != nil {
		return nil, err
	}
	root, err := proc.RepoRoot()
	if err != nil {
		return nil, err
	}
	opt := prosody.Options{
		Release: release, Dir: dir, Domain: fixture.Domain, LogLevel: "info", Global: network, MUC: rooms, Modules: modules, Under: gate.under,
		PluginPaths: []string{filepath.Join(root, "internal/bench/join/modules")},
	}
	if v != nil {
		opt.Authentication, opt.MUCModules = "usher", []string{"muc_usher"}
		opt.PluginPaths = append(opt.PluginPaths, filepath.Join(root, "lua"))
		opt.Global += fmt.Sprintf("usher_url = %q\n", v.URL)
		if gate.least {
			opt.Authentication, opt.MUCModules = "bench_floor", []string{"muc_bench_floor"}
		}
	}
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	s, err := prosody.Start(ctx, opt)
	if err != nil {
		return nil, err
	}
	e := &entrance{Server: s, job: join.Job{
		URL: s.WebSocketURL(), Domain: fixture.Domain, Tokens: gate.shown, Joins: joins, Lanes: lanes, PIDs: []int{s.PID()}, Core: loadCore,
	}}
	if v != nil {
		e.job.PIDs = append(e.job.PIDs, v.PID())
	}
	return e, cpu.Bind(s.PID(), serverCore)
}

func (r *run) enter(j join.Job) (join.Result, error) {
	in, err := json.Marshal(j)
	if err != nil {
		return join.Result{}, fmt.Errorf("write a job: %w", err)
	}
	cmd := exec.CommandContext(r.ctx, r.self, "as-clients")
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &problems
	if err := cmd.Run(); err != nil {
		return join.Result{}, fmt.Errorf("clients: %w: %s", err, problems.String())
	}
	var result join.Result
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		return join.Result{}, fmt.Errorf("read what the clients saw: %w", err)
	}
	return result, nil
}

func (r results) each(figure func(join.Result) float64) []float64 {
	out := make([]float64, len(r))
	for n, s := range r {
		out[n] = figure(s)
	}
	return out
}

func (r *run) joinRows(on string, anonymous, asking, ignoring, least results) {
	cost := func(s join.Result) float64 { return s.PerThousand(0).Seconds() }
	rates := func(s join.Result) float64 { return s.Rate() }
	latency := func(s join.Result) float64 { return float64(s.P50) / float64(time.Millisecond) }
	tail := func(s join.Result) float64 { return float64(s.P99) / float64(time.Millisecond) }
	between := func(what, unit string, factor float64, of func(join.Result) float64, seen, floor results, beside string, target *report.Target) {
		ratios := report.Ratios(seen.each(of), floor.each(of))
		for n := range ratios {
			ratios[n] *= factor
		}
		r.report.Add(report.Row{Part: "join", What: on + what, Unit: unit, Rounds: ratios, Target: target,
			Beside: fmt.Sprintf(beside, report.Median(seen.each(of)), report.Median(floor.each(of)))})
	}
	compare := func(what, unit string, factor float64, of func(join.Result) float64, floor results, beside string, target *report.Target) {
		between(what, unit, factor, of, asking, floor, beside, target)
	}
	compare(": joins a second, against anonymous", "%", 100, rates, anonymous, "%.0f of %.0f a second", report.Least(95))
	compare(": Prosody's CPU a join, against anonymous", "×", 1, cost, anonymous, "%.2f over %.2f s a thousand", report.Most(1.08))
	compare(": the same, where anonymous clients send a token that is ignored", "×", 1, cost, ignoring, "%.2f over %.2f s a thousand", nil)
	between(": the least that a gate costs which asks twice, against anonymous: joins a second", "%", 100, rates, least, anonymous, "%.0f of %.0f a second", nil)
	between(": … Prosody's CPU a join", "×", 1, cost, least, anonymous, "%.2f over %.2f s a thousand", nil)
	compare(": p50 from connecting to being in the room", "×", 1, latency, anonymous, "%.1f over %.1f ms", nil)
	compare(": p99", "×", 1, tail, anonymous, "%.1f over %.1f ms", nil)
	r.report.Add(report.Row{Part: "join", What: on + ": how busy its core was", Unit: "%", Rounds: asking.each(func(s join.Result) float64 { return 100 * s.Busy(0) })})
	r.report.Add(report.Row{Part: "join", What: on + ": usher's CPU for a thousand joins", Unit: "s", Rounds: asking.each(func(s join.Result) float64 { return s.PerThousand(1).Seconds() })})
}
