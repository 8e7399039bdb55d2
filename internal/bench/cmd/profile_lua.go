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

// luaProfile is what mod_bench_profile saw: microseconds of CPU time.
type luaProfile struct {
	Total, Samples int64
	// Files and Functions are charged with what they did themselves.
	Files, Functions map[string]int64
	// Behalf are usher's files, charged with what was done for them as well: JSON, sockets, waiting.
	Behalf map[string]int64
	joins  int
}

// profileProsody says, for every release, which Lua code the CPU time of a join goes to, beside an anonymous Prosody.
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
	tokens := fixture.RoamingTokens(token.RS256, manyTokens, time.Now())
	for _, release := range releases {
		floor, err := r.luaProfile(release, nil, nil)
		if err != nil {
			return fmt.Errorf("anonymous Prosody %s: %w", release.Name, err)
		}
		v, err := r.startUsher("")
		if err != nil {
			return err
		}
		seen, err := r.luaProfile(release, v, tokens)
		_ = v.Stop()
		if err != nil {
			return fmt.Errorf("Prosody %s with usher: %w", release.Name, err)
		}
		printLua(release.Name, seen, floor, lines)
	}
	return nil
}

// luaProfile profiles one Prosody under clients that join.
func (r *run) luaProfile(release prosody.Release, v *verifier.Verifier, tokens []string) (*luaProfile, error) {
	e, err := r.entrance(release, v, "bench_profile")
	if err != nil {
		return nil, err
	}
	defer e.Stop()
	e.job.Tokens = tokens
	var seen luaProfile
	for range 2 { // the first warms up
		if _, err := r.enter(e.job); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, e.Log.Tail(20))
		}
		ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
		seen = luaProfile{joins: e.job.Joins}
		err := e.Lua(ctx, "return prosody.bench_profile()", &seen)
		cancel()
		if err != nil {
			return nil, err
		}
	}
	return &seen, nil
}

func (p *luaProfile) each(microseconds int64) float64 {
	return float64(microseconds) / float64(p.joins)
}

// share sums what belongs to usher.
func (p *luaProfile) share(of map[string]int64) float64 {
	var sum int64
	for name, spent := range of {
		if strings.Contains(name, "usher") {
			sum += spent
		}
	}
	return 100 * float64(sum) / float64(p.Total)
}

func printLua(release string, seen, floor *luaProfile, lines int) {
	fmt.Printf("\nProsody %s: %.0f µs of CPU a join, %.0f µs anonymous (%d and %d samples, hooks on)\n",
		release, seen.each(seen.Total), floor.each(floor.Total), seen.Samples, floor.Samples)
	fmt.Printf("the shim: %.1f%% in its own lines, %.1f%% with what is done for it\n", seen.share(seen.Files), seen.share(seen.Behalf))
	for _, list := range []struct {
		title       string
		with, plain map[string]int64
	}{
		{"by usher's files, with what is done for them", seen.Behalf, floor.Behalf},
		{"by file", seen.Files, floor.Files},
		{"by function", seen.Functions, floor.Functions},
	} {
		fmt.Printf("\n%8s %8s %8s  %s\n", "µs/join", "anon.", "more", list.title)
		all := maps.Clone(list.plain)
		maps.Copy(all, list.with)
		more := func(name string) float64 { return seen.each(list.with[name]) - floor.each(list.plain[name]) }
		names := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Compare(more(b), more(a)) })
		for _, name := range names[:min(lines, len(names))] {
			fmt.Printf("%8.1f %8.1f %+8.1f  %s\n", seen.each(list.with[name]), floor.each(list.plain[name]), more(name), name)
		}
	}
}
