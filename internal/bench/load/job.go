// Package load asks a server over HTTP and measures what that costs: as fast as it answers, or at a fixed rate.
//
// It runs as a process of its own, so that the operating system tells its CPU time from the server's, and so that it
// can be kept to a core of its own.
package load

import (
	"fmt"
	"time"
)

// Plan says which tokens are shown.
type Plan string

// The plans.
const (
	Seen  Plan = "seen"  // tokens that were all shown before
	New   Plan = "new"   // tokens that were never shown
	Mixed Plan = "mixed" // one in ten is new
	Bad   Plan = "bad"   // all seen, but one in ten has a signature that is not good
	Joins Plan = "joins" // no token but a grant, as a join asks
)

// Speaks says what requests look like.
type Speaks string

// What servers are asked with.
const (
	Usher   Speaks = "usher"   // POST /v1/verify with a question
	HAProxy Speaks = "haproxy" // GET / with the token as Authorization: Bearer
)

// Job is one measurement.
type Job struct {
	Address string // host:port of the server
	PID     int    // its process, whose CPU time is taken
	Speaks  Speaks
	Plan    Plan
	// Tokens are shown in turn. Joins need grants for them: they are got by connecting first.
	Tokens []string
	// FirstHost is the first of the host names under which tokens count as new.
	FirstHost   int
	Connections int
	Seconds     float64
	// Rate is the requests a second, at fixed moments; 0: each connection asks again as soon as it was answered.
	Rate float64
	// Warm shows each token once before anything is measured.
	Warm bool
	// Core is the CPU that the load keeps to; -1: any.
	Core int
}

// Result is what was measured.
type Result struct {
	Requests, Refused int
	Seconds           float64
	// CPU is what the server's process used, Own what the load did.
	CPU, Own time.Duration
	// Percentiles of the time to an answer. At a fixed rate it counts from when the request was due, so that a server
	// that stops is seen by all the requests that it kept waiting.
	P50, P99, P999 time.Duration
	// NextHost is the first host name that has not been used.
	NextHost int
}

// PerRequest is the server's CPU time for one request.
func (r Result) PerRequest() time.Duration {
	if r.Requests == 0 {
		return 0
	}
	return r.CPU / time.Duration(r.Requests)
}

// Rate is the requests a second that were answered.
func (r Result) Rate() float64 { return float64(r.Requests) / r.Seconds }

// Busy is how much of one core the server used.
func (r Result) Busy() float64 { return r.CPU.Seconds() / r.Seconds }

func (j *Job) check() error {
	switch {
	case len(j.Tokens) == 0:
		return fmt.Errorf("the load against %s has no tokens", j.Address)
	case j.Connections < 1 || j.Seconds <= 0:
		return fmt.Errorf("the load against %s has no connections or no time", j.Address)
	}
	return nil
}
