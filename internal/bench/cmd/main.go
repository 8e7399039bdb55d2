// Command cmd measures usher side by side with what it is compared with, and writes what it saw as a table and as JSON.
//
//	go run ./internal/bench/cmd                  everything (make bench)
//	go run ./internal/bench/cmd --quick http     some parts, with fewer and shorter rounds
//	go run ./internal/bench/cmd profile          where the time of the verify path goes (make profile)
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/usher-im/usher/internal/bench/report"
)

type commands struct {
	Run     runCmd     `cmd:"" default:"withargs" help:"Measure."`
	Profile profileCmd `cmd:"" help:"Say where the verify path spends its time."`

	// What a run starts as processes of their own.
	Serve serveCmd `cmd:"" name:"as-usher" hidden:"" help:"The verifier under load."`
	Floor floorCmd `cmd:"" name:"as-floor" hidden:"" help:"The server that it is compared with."`
	Load  loadCmd  `cmd:"" name:"as-load" hidden:"" help:"One load, as JSON on stdin."`
	Join  joinCmd  `cmd:"" name:"as-clients" hidden:"" help:"Clients that log in and join, as JSON on stdin."`
	Held  heldCmd  `cmd:"" name:"as-sessions" hidden:"" help:"Clients that log in and stay, as JSON on stdin."`
}

type runCmd struct {
	Parts  []string `arg:"" optional:"" help:"Parts to measure: ${parts}."`
	Quick  bool     `help:"Fewer and shorter rounds: a look, not a figure to quote."`
	Rounds int      `help:"Rounds of everything; 0: 5, or 2 with --quick."`
	Out    string   `default:"dist/bench" help:"Folder of the results."`
}

// parts are what there is to measure, in the order of a whole run.
var parts = []struct {
	name    string
	measure func(*run) error
}{
	{"decide", (*run).decide},
	{"http", (*run).http},
	{"audit", (*run).audit},
	{"join", (*run).join},
	{"scale", (*run).scale},
	{"redis", (*run).redis},
}

func names() []string {
	var all []string
	for _, p := range parts {
		all = append(all, p.name)
	}
	return all
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Parse(&c, kong.Name("bench"), kong.Vars{"parts": strings.Join(names(), ", ")}, kong.BindTo(ctx, (*context.Context)(nil)))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (c *runCmd) Run(ctx context.Context) error {
	for _, name := range c.Parts {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("there is no part %q: the parts are %s", name, strings.Join(names(), ", "))
		}
	}
	r, err := newRun(ctx, c)
	if err != nil {
		return err
	}
	defer r.close()
	started := time.Now()
	var failed error // of what cannot be measured the rest is none the worse
	for _, p := range parts {
		if len(c.Parts) > 0 && !slices.Contains(c.Parts, p.name) {
			continue
		}
		r.say("%s …", p.name)
		if err := p.measure(r); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	r.report.Took = time.Since(started).Round(time.Second).String()
	r.report.Machine.Load[1] = report.Load()
	return errors.Join(failed, r.finish())
}

// finish prints the table and leaves the figures in the folder of results.
func (r *run) finish() error {
	file, err := r.report.Write(r.out)
	if err != nil {
		return err
	}
	table, err := os.Create(filepath.Join(r.out, "bench.md"))
	if err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	fmt.Fprintf(table, "%s\n\n", r.report.Machine)
	r.report.Markdown(table)
	r.report.Print(os.Stdout)
	fmt.Printf("%s\ntook %s; %s\n", r.report.Machine, r.report.Took, file)
	return errors.Join(table.Close())
}
