package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/token"
)

// luaProfile is what mod_bench_profile saw: microseconds of CPU time, instructions of Lua, or bytes.
type luaProfile struct {
	Total, Samples int64
	// Files and Functions are charged with what they used themselves.
	Files, Functions map[string]int64
	// Behalf are usher's files, charged with what was used for them as well: JSON, sockets, waiting.
	Behalf map[string]int64
	joins  int
}

// profileProsody says, for every release, which Lua code the CPU time, the instructions and the memory of a join go to, beside
// an anonymous Prosody. Memory matters twice: Prosody's collector works off what is allocated, a little at a time.
func (r *run) profileProsody(lines int) error {
	releases, err := prosody.Releases()
	if err != nil {
		return err
	}
	if err := r.buildUsher(); err != nil {
		return err
	}
	if err := cpu.Bind(os.Getpid(), loadCore); err != nil {
		return err
	}
	v, err := r.startUsher("")
	if err != nil {
		return err
	}
	defer v.Stop()
	for _, release := range releases {
		for _, m := range []struct{ what, unit string }{{"time", "µs"}, {"instructions", "op"}, {"memory", "B"}} {
			floor, err := r.luaProfile(release, m.what, nil)
			if err != nil {
				return fmt.Errorf("anonymous on Prosody %s: %w", release.Name, err)
			}
			seen, err := r.luaProfile(release, m.what, v)
			if err != nil {
				return fmt.Errorf("usher on Prosody %s: %w", release.Name, err)
			}
			fmt.Printf("\nProsody %s, %s\n", release.Name, m.what)
			seen.print(floor, m.unit, lines)
		}
	}
	return nil
}

// luaProfile profiles one Prosody under clients that join; without a verifier it lets everybody in.
func (r *run) luaProfile(release prosody.Release, what string, v *verifier.Verifier) (*luaProfile, error) {
	g := gate{v: v}
	if v != nil {
		g.shown = fixture.RoamingTokens(token.RS256, manyTokens, time.Now())
	}
	e, err := r.entrance(release, g, "bench_profile")
	if err != nil {
		return nil, err
	}
	defer e.Stop()
	e.job.Joins = 3 * joins
	seen := luaProfile{joins: e.job.Joins}
	for _, step := range []func() error{
		func() error { return r.joinOnce(e) }, // warms up
		func() error { return r.look(e, fmt.Sprintf("prosody.bench.sample(%q)", what), nil) },
		func() error { return r.joinOnce(e) },
		func() error { return r.look(e, "prosody.bench.seen()", &seen) },
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, e.Log.Tail(20))
		}
	}
	return &seen, nil
}

func (r *run) joinOnce(e *entrance) error {
	_, err := r.enter(e.job)
	return err
}

// look evaluates a Lua expression inside a Prosody.
func (r *run) look(e *entrance, expression string, result any) error {
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	return e.Lua(ctx, "return "+expression, result)
}

func (p *luaProfile) each(used int64) float64 { return float64(used) / float64(p.joins) }

// share is usher's part of the whole.
func (p *luaProfile) share(of map[string]int64) float64 {
	var sum int64
	for name, used := range of {
		if strings.Contains(name, "usher") {
			sum += used
		}
	}
	return 100 * float64(sum) / float64(p.Total)
}

func (p *luaProfile) print(floor *luaProfile, unit string, lines int) {
	fmt.Printf("%.0f %s a join, %.0f anonymous (%d and %d samples, under hooks)\n",
		p.each(p.Total), unit, floor.each(floor.Total), p.Samples, floor.Samples)
	fmt.Printf("the shim's share: %.1f%% in its own lines, %.1f%% with what is done for it\n", p.share(p.Files), p.share(p.Behalf))
	for _, list := range []struct {
		title       string
		with, plain map[string]int64
	}{
		{"by usher's files, with what is done for them", p.Behalf, floor.Behalf},
		{"by file", p.Files, floor.Files},
		{"by function", p.Functions, floor.Functions},
	} {
		fmt.Printf("\n%9s %9s %9s  %s\n", unit+"/join", "anonymous", "more", list.title)
		all := maps.Clone(list.plain)
		maps.Copy(all, list.with)
		more := func(name string) float64 { return p.each(list.with[name]) - floor.each(list.plain[name]) }
		names := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Compare(more(b), more(a)) })
		for _, name := range names[:min(lines, len(names))] {
			fmt.Printf("%9.1f %9.1f %+9.1f  %s\n", p.each(list.with[name]), floor.each(list.plain[name]), more(name), name)
		}
	}
}
