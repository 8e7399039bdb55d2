// Package join logs clients in and has them enter rooms, and measures what that costs a Prosody.
//
// It runs as a process of its own, as package load does.
package join

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/bench/times"
	"github.com/usher-im/usher/internal/e2e/client"
)

// Job is one measurement: so many clients, one after the other on each of some lanes, log in over a WebSocket, bind,
// enter a room, and go.
type Job struct {
	URL, Domain string
	// Tokens are shown in turn; none: clients show nothing.
	Tokens []string
	Joins  int
	Lanes  int
	// PIDs are the processes whose CPU time is taken: Prosody's, and the verifier's if there is one.
	PIDs []int
	Core int // that the clients keep to; -1: any
}

// Result is what was measured.
type Result struct {
	Joins   int
	Seconds float64
	CPU     []time.Duration // by process
	Own     time.Duration
	// Percentiles of the time from connecting to being in the room.
	P50, P99 time.Duration
}

// Rate is the joins a second.
func (r Result) Rate() float64 { return float64(r.Joins) / r.Seconds }

// PerThousand is the CPU time of one of the processes for a thousand joins.
func (r Result) PerThousand(process int) time.Duration {
	return r.CPU[process] * 1000 / time.Duration(max(r.Joins, 1))
}

// Busy is how much of one core a process used.
func (r Result) Busy(process int) float64 { return r.CPU[process].Seconds() / r.Seconds }

// patience bounds one login with its join.
const patience = 30 * time.Second

// Run does a job.
func Run(ctx context.Context, j Job) (Result, error) {
	if err := cpu.KeepTo(j.Core); err != nil {
		return Result{}, err
	}
	before, err := used(j.PIDs)
	if err != nil {
		return Result{}, err
	}
	own, start := cpu.Own(), time.Now()
	var next atomic.Int64
	took, failed := make([]times.Histogram, j.Lanes), make([]error, j.Lanes)
	var group sync.WaitGroup
	for lane := range j.Lanes {
		group.Go(func() { failed[lane] = j.run(ctx, lane, &next, &took[lane]) })
	}
	group.Wait()
	r := Result{Joins: j.Joins, Seconds: time.Since(start).Seconds(), Own: cpu.Own() - own}
	after, err := used(j.PIDs)
	if err != nil {
		return Result{}, err
	}
	for n := range after {
		r.CPU = append(r.CPU, after[n]-before[n])
	}
	var all times.Histogram
	for lane := range j.Lanes {
		if failed[lane] != nil {
			return Result{}, failed[lane]
		}
		all.Merge(&took[lane])
	}
	r.P50, r.P99 = all.At(.5), all.At(.99)
	return r, nil
}

func used(pids []int) ([]time.Duration, error) {
	out := make([]time.Duration, len(pids))
	for n, pid := range pids {
		var err error
		if out[n], err = cpu.Of(pid); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// run is one lane. Each has a room of its own, so that the number of occupants does not depend on chance.
func (j *Job) run(ctx context.Context, lane int, next *atomic.Int64, took *times.Histogram) error {
	room := fmt.Sprintf("bench-%d@conference.%s", lane, j.Domain)
	for {
		n := int(next.Add(1)) - 1
		if n >= j.Joins {
			return nil
		}
		token := ""
		if len(j.Tokens) > 0 {
			token = j.Tokens[n%len(j.Tokens)]
		}
		start := time.Now()
		if err := j.one(ctx, token, room, fmt.Sprintf("guest-%d", n)); err != nil {
			return fmt.Errorf("join %d: %w", n, err)
		}
		took.Add(time.Since(start))
	}
}

func (j *Job) one(ctx context.Context, token, room, nick string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{URL: j.URL, Domain: j.Domain, Token: token})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Login(ctx); err != nil {
		return err
	}
	_, err = c.Join(ctx, room, nick)
	return err
}
