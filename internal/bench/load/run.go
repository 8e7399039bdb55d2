package load

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/usher-im/usher/internal/bench/cpu"
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
		c.close()
	}
}

// warm shows every token once, and takes the grants where joins need them.
func (r *runner) warm() error {
	grants := make([]string, len(r.Tokens))
	if r.Warm || r.Plan == Joins {
		shown := r.Job
		shown.Plan = Seen
		for n, q := range shown.requests(nil) {
			q.address(^r.id, uint64(n), 0)
			status, body, err := r.connections[0].ask(q.bytes)
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
	l := &loop{runner: r, spins: r.Core >= 0}
	defer l.close()
	if err := l.open(); err != nil {
		return Result{}, err
	}
	before, err := cpu.Of(r.PID)
	if err != nil {
		return Result{}, err
	}
	own := cpu.Own()
	l.start = time.Now()
	l.until = l.start.Add(time.Duration(r.Seconds * float64(time.Second)))
	if err := l.run(); err != nil {
		return Result{}, err
	}
	took := time.Since(l.start)
	after, err := cpu.Of(r.PID)
	if err != nil {
		return Result{}, err
	}
	return Result{
		Requests: l.asked, Refused: l.refused, NextHost: max(r.FirstHost, l.host+1),
		Seconds: took.Seconds(), CPU: after - before, Own: cpu.Own() - own,
		P50: l.times.At(.5), P99: l.times.At(.99), P999: l.times.At(.999),
	}, nil
}
