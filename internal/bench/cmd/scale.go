package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/bench/report"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/verifier"
)

const megabyte = 1e6

// scale looks at the size of things: the binary, a node that starts or does nothing, a million revocations, ten thousand
// sessions, and a million events.
func (r *run) scale() error {
	if err := r.buildUsher(); err != nil {
		return err
	}
	info, err := os.Stat(r.usher)
	if err != nil {
		return fmt.Errorf("look at the binary: %w", err)
	}
	r.add("scale", "binary, stripped", "MB", []float64{float64(info.Size()) / megabyte}, report.Most(30))
	for _, part := range []func() error{r.starts, r.millionStarts, r.held, r.auditQueries} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) add(part, what, unit string, rounds []float64, t *report.Target) {
	r.report.Add(report.Row{Part: part, What: what, Unit: unit, Rounds: rounds, Target: t})
}

// node is the real binary with a data folder of its own, stopped.
func (r *run) node() (*verifier.Verifier, string, error) {
	v, err := r.startUsher("")
	if err != nil {
		return nil, "", err
	}
	return v, filepath.Join(filepath.Dir(v.ConfigFile), "usher-data"), v.Stop()
}

// startup starts a node anew, asks it every so often, and says when it was ready. The caller ends it.
func (r *run) startup(v *verifier.Verifier, every time.Duration) (*exec.Cmd, time.Duration, error) {
	cmd := exec.CommandContext(r.ctx, r.usher, "serve", "--config", v.ConfigFile)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, 0, fmt.Errorf("start usher: %w", err)
	}
	address := strings.TrimPrefix(v.URL, "http://")
	for {
		if isReady(address) {
			return cmd, time.Since(started), nil
		}
		if time.Since(started) > time.Minute {
			return nil, 0, errors.Join(fmt.Errorf("usher is not ready after a minute: %s", problems.String()), stop(cmd))
		}
		time.Sleep(every)
	}
}

// isReady asks /readyz without the weight of an HTTP client, so that asking often costs the node nothing.
func isReady(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(c, "GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", address)
	answer := make([]byte, 64)
	n, _ := c.Read(answer)
	return strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200")
}

func stop(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("stop usher: %w", err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("stop usher: %w", err)
	}
	return nil
}

// starts measures a node without Redis that starts, and one that has nothing to do.
func (r *run) starts() error {
	v, _, err := r.node()
	if err != nil {
		return err
	}
	var ready, memory, idle []float64
	for range r.rounds {
		cmd, took, err := r.startup(v, 500*time.Microsecond)
		if err != nil {
			return err
		}
		ready = append(ready, float64(took)/float64(time.Millisecond))
		if err := r.settle(); err != nil {
			return err
		}
		used, err := idleCPU(r.ctx, cmd.Process.Pid, time.Duration(r.seconds(4)*float64(time.Second)))
		if err != nil {
			return err
		}
		idle = append(idle, used)
		resident, err := residentMemory(cmd.Process.Pid)
		if err != nil {
			return err
		}
		memory = append(memory, resident)
		if err := stop(cmd); err != nil {
			return err
		}
	}
	r.add("scale", "from start to ready, without Redis", "ms", ready, report.Most(100))
	r.add("scale", "memory, idle", "MB", memory, report.Most(40))
	r.add("scale", "CPU, idle", "% of a core", idle, nil)
	return nil
}

// settle waits until a start has nothing left to do, which would be taken for the work of an idle node.
func (r *run) settle() error {
	select {
	case <-time.After(1500 * time.Millisecond):
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// idleCPU is the part of a core that a process uses over a while, in percent.
func idleCPU(ctx context.Context, pid int, over time.Duration) (float64, error) {
	before, err := cpu.Of(pid)
	if err != nil {
		return 0, err
	}
	started := time.Now()
	select {
	case <-time.After(over):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := cpu.Of(pid)
	return 100 * (after - before).Seconds() / time.Since(started).Seconds(), err
}

// residentMemory is what a process has in memory, in megabytes.
func residentMemory(pid int) (float64, error) {
	n, _, err := proc.Memory(pid)
	return float64(n) / megabyte, err
}

var asked = regexp.MustCompile(`(?m)^(warm|cold)\s+(.+?)\s+p50\s+([0-9.]+) ms\s+p99\s+([0-9.]+) ms`)

// auditQueries has the audit's own benchmark fill a store and ask it.
func (r *run) auditQueries() error {
	rows := 1_000_000
	if r.quick {
		rows = 250_000
	}
	root, err := proc.RepoRoot()
	if err != nil {
		return err
	}
	cmd := r.command(root, "go", "run", "./internal/audit/auditbench", "-rows", strconv.Itoa(rows), "-runs", "50")
	cmd.Stderr = nil
	out, err := cmd.Output()
	found := asked.FindAllStringSubmatch(string(out), -1)
	if len(found) == 0 { // that a figure was missed is an error there, and a row here
		return fmt.Errorf("the audit's benchmark said nothing: %w\n%s", err, out)
	}
	for _, f := range found {
		p99, err := strconv.ParseFloat(f[4], 64)
		if err != nil {
			return fmt.Errorf("read a figure of the audit's benchmark: %w", err)
		}
		r.report.Add(report.Row{Part: "scale", What: fmt.Sprintf("audit of %d events, %s: %s, p99", rows, f[1], f[2]), Unit: "ms",
			Rounds: []float64{p99}, Beside: "p50 " + f[3] + " ms"})
	}
	return nil
}
