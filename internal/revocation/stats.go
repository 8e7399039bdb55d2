package revocation

import (
	"sync/atomic"
	"time"
)

type counters struct {
	failures, gaps, loads, missed, putBack atomic.Int64
	asked, unavailable, unchecked          atomic.Int64
	state                                  atomic.Pointer[State]
}

// Stats is how the ledger stands, for metrics and for whoever looks.
type Stats struct {
	Entries map[Selector]int
	// Loaded: the index has been loaded. Age is how long ago it was last known to be current.
	Loaded bool
	Age    time.Duration
	// Seq is the last change applied, StoreSeq the store's last as of its last heartbeat.
	Seq, StoreSeq uint64
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
		Entries: map[Selector]int{}, Loaded: at.identity.Epoch != "", Seq: at.seq, StoreSeq: at.seq,
		Loads: l.stats.loads.Load(), Gaps: l.stats.gaps.Load(), PutBack: l.stats.putBack.Load(),
		Failures: l.stats.failures.Load(), Missed: l.stats.missed.Load(),
		Asked: l.stats.asked.Load(), Unavailable: l.stats.unavailable.Load(), Unchecked: l.stats.unchecked.Load(),
	}
	for _, selector := range Selectors() {
		s.Entries[selector] = l.index.Count(selector)
	}
	if s.Loaded {
		s.Age = l.opt.Now().Sub(time.UnixMilli(l.currentAt.Load()))
	}
	if st := l.stats.state.Load(); st != nil {
		s.Durable, s.Evicts, s.Replicas, s.StoreSeq = st.Durable, st.Evicts, st.Replicas, max(st.Seq, at.seq)
	}
	return s
}
