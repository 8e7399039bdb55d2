package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/bench/load"
	"github.com/usher-im/usher/internal/bench/report"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/token"
)

// run is one run of the benchmarks.
type run struct {
	ctx    context.Context
	dir    string // removed at the end
	out    string
	self   string // this program
	usher  string // the real binary, once it was built
	quick  bool
	rounds int
	report report.Report

	tokens map[token.Algorithm][]string
	host   int // the next host name under which no token was shown
	opened []func()
}

// manyTokens is a multiple of ten: some plans do something else with each tenth.
const manyTokens = 500

func newRun(ctx context.Context, c *runCmd) (*run, error) {
	r := &run{ctx: ctx, out: c.Out, quick: c.Quick, rounds: c.Rounds, tokens: map[token.Algorithm][]string{}, host: 1}
	if r.rounds == 0 {
		r.rounds = 5
		if r.quick {
			r.rounds = 2
		}
	}
	r.report = report.Report{Machine: report.ThisMachine(), Started: time.Now().UTC(), Quick: r.quick}
	if err := proc.RaiseFileLimit(); err != nil {
		return nil, err
	}
	var err error
	if r.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return nil, fmt.Errorf("find the folder of results: %w", err)
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of results: %w", err)
	}
	if r.dir, err = os.MkdirTemp("", "usher-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder to work in: %w", err)
	}
	return r, fixture.WriteKeys(r.dir)
}

// close ends what was started, the last first.
func (r *run) close() {
	for n := len(r.opened) - 1; n >= 0; n-- {
		r.opened[n]()
	}
	r.opened = nil
	os.RemoveAll(r.dir)
}

// atEnd has f run when the run ends.
func (r *run) atEnd(f func()) { r.opened = append(r.opened, f) }

func (r *run) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

// seconds is how long one measurement takes.
func (r *run) seconds(whole float64) float64 {
	if r.quick {
		return whole / 2
	}
	return whole
}

// short is how many rounds there are of what takes less than a second: what disturbs a machine does so for seconds, and
// with many rounds that are short it falls on both sides of a ratio alike.
func (r *run) short() int {
	if r.quick {
		return r.rounds
	}
	return 3 * r.rounds
}

// shown are the tokens of an algorithm.
func (r *run) shown(alg token.Algorithm) []string {
	if r.tokens[alg] == nil {
		r.tokens[alg] = fixture.Tokens(alg, manyTokens, time.Now())
	}
	return r.tokens[alg]
}

// folder makes a folder of that name.
func (r *run) folder(name string) (string, error) {
	return os.MkdirTemp(r.dir, name+"-")
}

// target is a server under load.
type target struct {
	*proc.Process
	address string
	speaks  load.Speaks
}

// ready is what our own servers print when they answer, followed by their address.
const ready = "answering on "

// start runs this program as a server, and ends it with the run.
func (r *run) start(name string, args ...string) (*target, error) {
	return r.launch(name, exec.Command(r.self, args...))
}

func (r *run) launch(name string, cmd *exec.Cmd) (*target, error) {
	p, err := proc.Start(name, cmd)
	if err != nil {
		return nil, err
	}
	r.atEnd(func() { _ = p.Stop(5 * time.Second) })
	ctx, cancel := context.WithTimeout(r.ctx, 2*time.Minute)
	defer cancel()
	line, err := p.WaitLine(ctx, ready)
	if err != nil {
		return nil, err
	}
	return &target{Process: p, address: line[len(ready):], speaks: load.Usher}, nil
}

// ask puts load on a server, from a process of its own. The job's address and process are the server's.
func (r *run) ask(t *target, j load.Job) (load.Result, error) {
	j.Address, j.PID, j.Speaks, j.FirstHost = t.address, t.PID(), t.speaks, r.host
	in, err := json.Marshal(j)
	if err != nil {
		return load.Result{}, fmt.Errorf("write a job: %w", err)
	}
	cmd := exec.CommandContext(r.ctx, r.self, "as-load")
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &problems
	if err := cmd.Run(); err != nil {
		return load.Result{}, fmt.Errorf("load on %s: %w: %s", t.Name, err, problems.String())
	}
	var result load.Result
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		return load.Result{}, fmt.Errorf("read what the load on %s saw: %w", t.Name, err)
	}
	r.host = max(r.host, result.NextHost)
	return result, nil
}

func core(n int) string { return "--core=" + strconv.Itoa(n) }
