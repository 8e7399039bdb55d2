package audit

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Pacer makes the way to the store give way on a machine that has no time left: decisions come first, the spill holds
// what waits. As the spill fills, its turn comes: shed events are worse than a slower answer.
type Pacer struct {
	asked   time.Time
	last    usage
	busy    bool
	measure func() usage
}

// usage is time spent since some beginning.
type usage struct {
	at      time.Time
	process time.Duration // CPU of this process
	idle    time.Duration // CPU time of the machine that nobody wanted, all cores
	cores   int           // of the machine; 0 where it cannot be told
}

const (
	paceEvery = 200 * time.Millisecond
	spareMin  = 0.08 // below this share of spare time the machine is saturated
	share     = 0.10 // of one core for the store, then
	urgent    = 0.5  // fill of the spill from which on the share grows
	alarm     = 0.9  // and where no rest is taken
)

// NewPacer looks at this machine.
func NewPacer() *Pacer { return &Pacer{measure: measureUsage} }

// Rest is how long to leave the machine alone after having worked, with the spill filled so far (0 to 1).
func (p *Pacer) Rest(worked time.Duration, fill float64) time.Duration {
	if !p.saturated() || fill >= alarm {
		return 0
	}
	s := share
	if fill > urgent {
		s += (1 - share) * (fill - urgent) / (alarm - urgent)
	}
	return time.Duration(float64(worked) * (1 - s) / s)
}

func (p *Pacer) saturated() bool {
	now := time.Now()
	if now.Sub(p.asked) < paceEvery {
		return p.busy
	}
	p.asked = now
	u := p.measure()
	p.busy = p.last.cores > 0 && scarce(p.last, u)
	p.last = u
	return p.busy
}

// scarce says that between two moments either the machine or this process (a container's share, which Go knows as
// GOMAXPROCS) had next to nothing left.
func scarce(a, b usage) bool {
	wall := b.at.Sub(a.at)
	if wall <= 0 {
		return false
	}
	own := float64(b.process-a.process) / float64(wall) / float64(runtime.GOMAXPROCS(0))
	spare := float64(b.idle-a.idle) / float64(wall) / float64(b.cores)
	return own > 1-spareMin || spare < spareMin
}

func measureUsage() usage {
	u := usage{at: time.Now(), cores: runtime.NumCPU()}
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		u.process = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	idle, cores, ok := machineIdle()
	if !ok { // no /proc: only the process itself is known
		idle, cores = time.Duration(u.at.UnixNano()), 1
	}
	u.idle, u.cores = idle, cores
	return u
}

// machineIdle reads proc_stat(5): user nice system idle iowait …, in hundredths of a second, and a line for each core.
func machineIdle() (time.Duration, int, bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, false
	}
	first, rest, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(first)
	if len(fields) < 6 {
		return 0, 0, false
	}
	var ticks int64
	for _, f := range fields[4:6] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, 0, false
		}
		ticks += n
	}
	var cores int
	for bytes.HasPrefix(rest, []byte("cpu")) {
		cores++
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
	return time.Duration(ticks) * 10 * time.Millisecond, cores, cores > 0
}
