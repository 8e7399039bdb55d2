package revocation

import (
	"sync"
	"sync/atomic"
	"time"
)

type counters struct {
	failures, gaps, loads, missed, putBack atomic.Int64
	asked, unavailable, unchecked          atomic.Int64
	state                                  atomic.Pointer[State]
	propagation                            propagation
}

// bounds of the buckets that propagation times fall into.
var bounds = [...]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second,
}

// propagation counts how long heartbeats took.
type propagation struct {
	mu     sync.Mutex
	counts [len(bounds)]uint64
	total  uint64
	sum    time.Duration
}

func (p *propagation) observe(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total++
	p.sum += d
	for i, bound := range bounds {
		if d <= bound {
			p.counts[i]++
		}
	}
}

// Propagation is how long heartbeats took through the store and back to this node, as a histogram.
type Propagation struct {
	Count uint64
	Sum   time.Duration
	// AtMost counts those that took no longer than each bound, in seconds.
	AtMost map[float64]uint64
}

func (p *propagation) read() Propagation {
	p.mu.Lock()
	defer p.mu.Unlock()
	read := Propagation{Count: p.total, Sum: p.sum, AtMost: make(map[float64]uint64, len(bounds))}
	for i, bound := range bounds {
		read.AtMost[bound.Seconds()] = p.counts[i]
	}
	return read
}

// Stats is how the ledger stands, for metrics and for whoever looks.
type Stats struct {
	// Entries are those that have not expired.
	Entries map[Selector]int
	// Loaded: the index has been loaded. Age is how long ago it was last known to be current.
	Loaded bool
	Age    time.Duration
	// Seq is the last change applied, StoreSeq the store's last as of its last heartbeat.
	Seq, StoreSeq uint64
	Propagation   Propagation
	// Durable, Evicts and Replicas are the store's, as of its last heartbeat.
	Durable, Evicts bool
	Replicas        int
	// Loads counts full loads, Gaps those because of missing changes, PutBack entries that the store had lost.
	Loads, Gaps, PutBack int64
	// Failures counts times that following broke off, Missed heartbeats without an answer.
	Failures, Missed int64
	// Asked counts decisions that asked the store itself, Unavailable those denied for want of an answer, Unchecked
	// those let in without one.
	Asked, Unavailable, Unchecked int64
}

// Stats reads them.
func (l *Ledger) Stats() Stats {
	at := l.position()
	s := Stats{
		Propagation: l.stats.propagation.read(),
		Entries:     l.index.Active(l.opt.Now().UnixMilli()), Loaded: at.identity.Epoch != "", Seq: at.seq, StoreSeq: at.seq,
		Loads: l.stats.loads.Load(), Gaps: l.stats.gaps.Load(), PutBack: l.stats.putBack.Load(),
		Failures: l.stats.failures.Load(), Missed: l.stats.missed.Load(),
		Asked: l.stats.asked.Load(), Unavailable: l.stats.unavailable.Load(), Unchecked: l.stats.unchecked.Load(),
	}
	if s.Loaded {
		s.Age = l.opt.Now().Sub(time.UnixMilli(l.currentAt.Load()))
	}
	if st := l.stats.state.Load(); st != nil {
		s.Durable, s.Evicts, s.Replicas, s.StoreSeq = st.Durable, st.Evicts, st.Replicas, max(st.Seq, at.seq)
	}
	return s
}
