package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/usher-im/usher/internal/bench/load"
	"github.com/usher-im/usher/internal/token"
)

// profileCmd loads the verifier and says where its time, its memory and its waiting go.
type profileCmd struct {
	Plan         string  `default:"seen" enum:"seen,new,mixed,bad,joins" help:"Which tokens are shown: seen, new, mixed, bad, joins."`
	Alg          string  `default:"RS256" help:"Their algorithm."`
	Audit        bool    `help:"With the audit."`
	Floor        bool    `help:"The bare handler instead, with its bare checks."`
	Prosody      bool    `help:"Prosody instead, each release: where its time goes while clients join, and the shim's share."`
	Instructions bool    `help:"Prosody instead, each release: how many instructions it runs for a join, whatever else the machine does."`
	Rate         float64 `help:"Requests a second, on both cores; 0: as many as one core answers."`
	Seconds      float64 `default:"5"`
	Out          string  `default:"dist/profile" help:"Folder of the profiles."`
	Lines        int     `default:"30" help:"Lines of each list."`
}

func (c *profileCmd) Run(ctx context.Context) error {
	r, err := newRun(ctx, &runCmd{Out: c.Out})
	if err != nil {
		return err
	}
	defer r.close()
	if c.Prosody {
		return r.profileProsody(c.Lines)
	}
	if c.Instructions {
		return r.instructions()
	}
	flags := []string{"--profiles=" + r.out}
	if c.Audit {
		flags = append(flags, "--audit")
	}
	if c.Rate > 0 {
		flags = append(flags, core(-1))
	}
	start := func() (*target, error) { return r.serve("usher", flags...) }
	if c.Floor {
		start = func() (*target, error) {
			return r.bareHandler("the bare handler", c.Plan == "new", serverCore, flags[0])
		}
	}
	loaded, err := start()
	if err != nil {
		return err
	}
	j := r.closed(load.Plan(c.Plan), token.Algorithm(c.Alg), 16)
	j.Seconds, j.Rate = c.Seconds, c.Rate
	if c.Rate > 0 {
		j.Core = -1
	}
	result, err := r.ask(loaded, j)
	if err != nil {
		return err
	}
	if err := loaded.Stop(10 * time.Second); err != nil {
		return err
	}
	fmt.Printf("%d requests, %.1f µs of CPU each\n", result.Requests, perRequest(result))
	for _, p := range []struct{ file, index, order string }{
		{"cpu.prof", "cpu", "-cum"}, {"cpu.prof", "cpu", "-flat"}, {"allocs.prof", "alloc_space", "-flat"},
		{"mutex.prof", "delay", "-flat"}, {"block.prof", "delay", "-cum"},
	} {
		show := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", p.order, fmt.Sprintf("-nodecount=%d", c.Lines), "-sample_index="+p.index, r.self, filepath.Join(r.out, p.file))
		show.Stdout = os.Stdout
		fmt.Printf("\n%s %s %s\n", p.file, p.index, p.order)
		if err := show.Run(); err != nil {
			return fmt.Errorf("show %s: %w", p.file, err)
		}
	}
	return nil
}

// profiled profiles this process until the returned function is called.
func profiled(dir string) (func() error, error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	runtime.SetMutexProfileFraction(5)
	runtime.SetBlockProfileRate(10_000)
	f, err := os.Create(filepath.Join(dir, "cpu.prof"))
	if err != nil {
		return nil, fmt.Errorf("write a profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, fmt.Errorf("profile the CPU: %w", err)
	}
	return func() error {
		pprof.StopCPUProfile()
		err := f.Close()
		for _, name := range []string{"allocs", "mutex", "block"} {
			out, failed := os.Create(filepath.Join(dir, name+".prof"))
			if failed != nil {
				return errors.Join(err, failed)
			}
			err = errors.Join(err, pprof.Lookup(name).WriteTo(out, 0), out.Close())
		}
		return err
	}, nil
}
