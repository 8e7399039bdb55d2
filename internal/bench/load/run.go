package load

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/bench/times"
)

// Run does a job.
func Run(j Job) (Result, error) {
	if err := j.check(); err != nil {
		return Result{}, err
	}
	if err := cpu.KeepTo(j.Core); err != nil {
		return Result{}, err
	}
	r := &runner{Job: j, id: uint64(time.Now().UnixNano())}
	if err := r.open(); err != nil {
		return Result{}, err
	}
	defer r.close()
	if err := r.warm(); err != nil {
		return Result{}, err
	}
	return r.measure()
}

type runner struct {
	Job
	id          uint64 // of this run, in the ids of its questions
	requests    []request
	connections []*connection
}

func (r *runner) open() error {
	for range r.Connections {
		c, err := dial(r.Address)
		if err != nil {
			return err
		}
		r.connections = append(r.connections, c)
	}
	return nil
}

func (r *runner) close() {
	for _, c := range r.connections {
		c.Close()
	}
}

// warm shows every token once, and takes the grants where joins need them.
func (r *runner) warm() error {
	grants := make([]string, len(r.Tokens))
	if r.Warm || r.Plan == Joins {
		shown := r.Job
		shown.Plan = Seen
		for n, q := range shown.requests(nil) {
			status, body, err := r.connections[0].ask(&q, ^r.id, uint64(n), 0)
			if err != nil {
				return err
			}
			if status != 200 {
				return fmt.Errorf("a good token was answered with status %d: %s", status, body)
			}
			if r.Plan == Joins {
				if grants[n], err = grantIn(body); err != nil {
					return err
				}
			}
		}
	}
	r.requests = r.Job.requests(grants)
	return nil
}

func grantIn(body []byte) (string, error) {
	var a struct{ Grant string }
	if err := json.Unmarshal(body, &a); err != nil || a.Grant == "" {
		return "", fmt.Errorf("a good token got no grant: %s", body)
	}
	return a.Grant, nil
}

func (r *runner) measure() (Result, error) {
	workers := make([]*worker, len(r.connections))
	for i, c := range r.connections {
		workers[i] = &worker{runner: r, connection: c, number: i, requests: copyFor(r.requests)}
	}
	before, err := cpu.Of(r.PID)
	if err != nil {
		return Result{}, err
	}
	own, start := cpu.Own(), time.Now()
	var group sync.WaitGroup
	for _, w := range workers {
		group.Go(func() { w.err = w.run(start) })
	}
	group.Wait()
	took := time.Since(start)
	after, err := cpu.Of(r.PID)
	if err != nil {
		return Result{}, err
	}
	out := Result{Seconds: took.Seconds(), CPU: after - before, Own: cpu.Own() - own, NextHost: r.FirstHost}
	var all times.Histogram
	for _, w := range workers {
		if w.err != nil {
			return Result{}, w.err
		}
		out.Requests += w.asked
		out.Refused += w.refused
		out.NextHost = max(out.NextHost, w.host+1)
		all.Merge(&w.times)
	}
	out.P50, out.P99, out.P999 = all.At(.5), all.At(.99), all.At(.999)
	return out, nil
}
