package main

import (
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/bench/floor"
	"github.com/usher-im/usher/internal/bench/load"
	"github.com/usher-im/usher/internal/bench/report"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/token"
)

// Servers under load keep to the first core and the load to the second.
const serverCore, loadCore = 0, 1

// contest is one load on one server, repeated in every round.
type contest struct {
	on   *target
	job  load.Job
	seen []load.Result
}

// contests are what a part measures, in the order of one round.
type contests []*contest

func (c *contests) add(on *target, j load.Job) *contest {
	one := &contest{on: on, job: j}
	*c = append(*c, one)
	return one
}

// measure runs all contests round by round. The first round is for caches and heaps to fill and does not count.
func (c contests) measure(r *run) error {
	rounds := r.short()
	for n := range rounds + 1 {
		r.say("  round %d of %d", n, rounds)
		for _, one := range c {
			result, err := r.ask(one.on, one.job)
			if err != nil {
				return err
			}
			if n > 0 {
				one.seen = append(one.seen, result)
			}
		}
	}
	return nil
}

// each takes one figure out of every round.
func (c *contest) each(figure func(load.Result) float64) []float64 {
	out := make([]float64, len(c.seen))
	for n, s := range c.seen {
		out[n] = figure(s)
	}
	return out
}

func perRequest(s load.Result) float64 { return float64(s.PerRequest()) / float64(time.Microsecond) }
func rate(s load.Result) float64       { return s.Rate() }
func p50(s load.Result) float64        { return float64(s.P50) / float64(time.Microsecond) }
func p99(s load.Result) float64        { return float64(s.P99) / float64(time.Microsecond) }
func p999(s load.Result) float64       { return float64(s.P999) / float64(time.Microsecond) }

// serve starts the verifier on the servers' core.
func (r *run) serve(name string, flags ...string) (*target, error) {
	dir, err := r.folder("usher")
	if err != nil {
		return nil, err
	}
	return r.start(name, append([]string{"as-usher", core(serverCore), "--dir=" + dir, "--keys=" + r.dir}, flags...)...)
}

// bareHandler starts the floor; with check it also checks signatures.
func (r *run) bareHandler(name string, check bool, on int, flags ...string) (*target, error) {
	args := append([]string{"as-floor", core(on)}, flags...)
	if check {
		var heads []string
		for _, alg := range fixture.Algorithms() {
			head, err := floor.Header(r.shown(alg)[0])
			if err != nil {
				return nil, err
			}
			heads = append(heads, string(alg)+"="+head)
		}
		args = append(args, "--keys="+r.dir, "--heads="+strings.Join(heads, ";"))
	}
	return r.start(name, args...)
}

// haproxy starts Debian's HAProxy with its jwt_verify.
func (r *run) haproxy() (*target, error) {
	ports, err := proc.FreePorts(1)
	if err != nil {
		return nil, err
	}
	cmd, err := floor.HAProxy(r.dir, ports[0], fixture.PEMFile(r.dir, token.RS256))
	if err != nil {
		return nil, err
	}
	pinned := exec.Command("taskset", append([]string{"-c", fmt.Sprint(serverCore)}, cmd.Args...)...)
	p, err := proc.Start("haproxy", pinned)
	if err != nil {
		return nil, err
	}
	r.atEnd(func() { _ = p.Stop(5 * time.Second) })
	t := &target{Process: p, address: fmt.Sprintf("127.0.0.1:%d", ports[0]), speaks: load.HAProxy}
	return t, awaitPort(r.ctx, p, t.address)
}

// closed is a load that asks again as soon as it is answered.
func (r *run) closed(plan load.Plan, alg token.Algorithm, connections int) load.Job {
	return load.Job{Plan: plan, Tokens: r.shown(alg), Connections: connections, Seconds: .4, Warm: plan != load.New, Core: loadCore}
}

// http sets POST /v1/verify beside a handler that only decodes and encodes the same bodies, beside the same with the
// bare check of each signature, and beside HAProxy.
func (r *run) http() error {
	s, err := r.httpServers()
	if err != nil {
		return err
	}
	var all contests
	type pair struct{ usher, bare *contest }
	seen := map[int]pair{}
	for _, n := range []int{1, 16, 64} {
		j := r.closed(load.Seen, token.RS256, n)
		seen[n] = pair{all.add(s.usher, j), all.add(s.bare, j)}
	}
	joins := pair{all.add(s.usher, r.closed(load.Joins, token.RS256, 16)), all.add(s.bare, r.closed(load.Joins, token.RS256, 16))}
	fresh := map[token.Algorithm]pair{}
	for _, alg := range coldAlgorithms {
		j := r.closed(load.New, alg, 16)
		fresh[alg] = pair{all.add(s.usher, j), all.add(s.check, j)}
	}
	mixed := pair{all.add(s.usher, r.closed(load.Mixed, token.RS256, 16)), all.add(s.bare, r.closed(load.Mixed, token.RS256, 16))}
	bad := pair{all.add(s.usher, r.closed(load.Bad, token.RS256, 16)), all.add(s.bare, r.closed(load.Seen, token.RS256, 16))}
	both := r.closed(load.Seen, token.RS256, 16)
	both.Core = -1
	wide := pair{all.add(s.wideUsher, both), all.add(s.wideBare, both)}
	haproxy := all.add(s.haproxy, r.closed(load.New, token.RS256, 16))
	million := pair{all.add(s.million, r.closed(load.Seen, token.RS256, 16)), all.add(s.million, r.closed(load.New, token.RS256, 16))}
	if err := all.measure(r); err != nil {
		return err
	}

	for _, n := range []int{1, 16, 64} {
		p := seen[n]
		most := []*report.Target{nil, nil, nil}
		if n == 16 {
			most = []*report.Target{report.Most(1.18), report.Least(85), report.Most(1.5)}
		}
		r.versus(fmt.Sprintf("all seen, %d connections", n), p.usher, p.bare, most...)
	}
	r.versus("joins by grant, 16 connections", joins.usher, joins.bare)
	for _, alg := range coldAlgorithms {
		most := 1.15
		if alg == token.HS256 {
			most = 1.4
		}
		r.versus(string(alg)+" all new, against the bare handler with the bare check", fresh[alg].usher, fresh[alg].bare, report.Most(most))
	}
	r.versus("one in ten new, 16 connections", mixed.usher, mixed.bare)
	r.versus("one in ten forged, against all seen", bad.usher, bad.bare)
	r.versus("all seen, both cores for everybody", wide.usher, wide.bare)
	r.cost("RS256 all seen, against HAProxy's jwt_verify", seen[16].usher, haproxy, report.Most(1.0/3))
	r.cost("RS256 all new, against HAProxy's jwt_verify", fresh[token.RS256].usher, haproxy, report.Most(1.25))
	r.cost("the bare handler, all seen, against HAProxy's jwt_verify", seen[16].bare, haproxy, nil)
	r.cost("the bare handler with the bare RS256 check, against HAProxy's jwt_verify", fresh[token.RS256].bare, haproxy, nil)
	r.cost("1M revocations, all seen, against none", million.usher, seen[16].usher, report.Most(1.05))
	r.cost("1M revocations, all new, against none", million.bare, fresh[token.RS256].usher, report.Most(1.05))
	return r.fixedRate(s)
}

var coldAlgorithms = []token.Algorithm{token.RS256, token.ES256, token.EdDSA, token.HS256}

type httpServers struct{ usher, million, bare, check, haproxy, wideUsher, wideBare *target }

func (r *run) httpServers() (s httpServers, err error) {
	for _, one := range []struct {
		into  **target
		start func() (*target, error)
	}{
		{&s.usher, func() (*target, error) { return r.serve("usher") }},
		{&s.million, func() (*target, error) { return r.serve("usher with a million revocations", "--revocations=1000000") }},
		{&s.bare, func() (*target, error) { return r.bareHandler("the bare handler", false, serverCore) }},
		{&s.check, func() (*target, error) { return r.bareHandler("the bare handler with checks", true, serverCore) }},
		{&s.wideBare, func() (*target, error) { return r.bareHandler("the bare handler on both cores", false, -1) }},
		{&s.wideUsher, func() (*target, error) { return r.serve("usher on both cores", core(-1)) }},
		{&s.haproxy, r.haproxy},
	} {
		if *one.into, err = one.start(); err != nil {
			return s, err
		}
	}
	return s, nil
}
