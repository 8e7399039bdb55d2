package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/token"
)

// instructions says how many instructions each release of Prosody runs for a join, under valgrind. They are the same to a
// fifth of a percent from run to run, where CPU time on a shared machine differs by more than what there is to see. They
// are no time: a loop over a token runs three times as many of them in a microsecond as the collector does.
func (r *run) instructions() error {
	releases, err := prosody.Releases()
	if err != nil {
		return err
	}
	if err := r.buildUsher(); err != nil {
		return err
	}
	v, err := r.startUsher("")
	if err != nil {
		return err
	}
	defer v.Stop()
	tokens := fixture.RoamingTokens(token.RS256, manyTokens, time.Now())
	for _, release := range releases {
		fmt.Printf("Prosody %s, instructions for a join\n", release.Name)
		var anonymous float64
		for _, g := range []struct {
			what string
			gate gate
		}{
			{"anonymous", gate{}},
			{"anonymous, with a token that is ignored", gate{shown: tokens}},
			{"the least that a gate costs which asks twice", gate{v: v, shown: tokens, least: true}},
			{"usher", gate{v: v, shown: tokens}},
		} {
			n, err := r.instructionsAt(release, g.gate)
			if err != nil {
				return fmt.Errorf("%s on Prosody %s: %w", g.what, release.Name, err)
			}
			if anonymous == 0 {
				anonymous = n
			}
			fmt.Printf("%12.0f  %.3f×  %s\n", n, n/anonymous, g.what)
		}
	}
	return nil
}

// counted is the line with the sum in what callgrind writes.
var counted = regexp.MustCompile(`(?m)^summary: (\d+)$`)

func (r *run) instructionsAt(release prosody.Release, g gate) (float64, error) {
	dir, err := r.folder("callgrind")
	if err != nil {
		return 0, err
	}
	g.under = []string{"valgrind", "--tool=callgrind", "--trace-children=yes", "--instr-atstart=no", "--callgrind-out-file=" + filepath.Join(dir, "seen")}
	e, err := r.entrance(release, g)
	if err != nil {
		return 0, err
	}
	defer e.Stop()
	control := func(order ...string) error {
		out, err := exec.CommandContext(r.ctx, "callgrind_control", append(order, strconv.Itoa(e.PID()))...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("callgrind_control: %w\n%s", err, out)
		}
		return nil
	}
	e.job.Lanes = 4 // fifty times slower as it is, no question may wait for more than its two seconds
	for _, step := range []func() error{
		func() error { return r.joinOnce(e) }, // warms up
		func() error { return control("--instr=on") },
		func() error { return r.joinOnce(e) },
		func() error { return control("--dump") },
	} {
		if err := step(); err != nil {
			return 0, fmt.Errorf("%w\n%s", err, e.Log.Tail(20))
		}
	}
	// What is dumped by order goes into files that are numbered.
	files, err := filepath.Glob(filepath.Join(dir, "seen.*"))
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, fmt.Errorf("read what callgrind counted: %w", err)
		}
		if line := counted.FindSubmatch(text); line != nil {
			n, err := strconv.ParseFloat(string(line[1]), 64)
			if err != nil {
				return 0, fmt.Errorf("read what callgrind counted: %w", err)
			}
			sum += n
		}
	}
	if sum == 0 {
		return 0, fmt.Errorf("callgrind counted nothing in %s", dir)
	}
	return sum / float64(e.job.Joins), nil
}
