package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options sets up a Pipeline.
type Options struct {
	// Dir is the folder of the spill log, SpillMax its most bytes.
	Dir      string
	SpillMax int64
	// Retention is how long the store keeps events; 0 means no bound. The spill keeps what the store has for a day at most.
	Retention time.Duration
	// Node is written into events that name none; empty means the machine's name.
	Node string
	// Names keeps user_name and user_email; without it they are dropped here, whoever sets them.
	Names bool
	// Pseudonyms, where set, stand in for user ids and addresses.
	Pseudonyms *Pseudonyms
	// Sink, where set, is shown every event as well.
	Sink   *Sink
	Logger *slog.Logger
	Now    func() time.Time
}

// Pipeline carries events from the verify path to the store, in three steps with a goroutine each: the queue is
// drained into the spill log, the spill log is brought to the disk, and its rows go to the store. A kill -9 loses what
// lay in the queue (up to gather), a power cut what was not on the disk (up to syncEvery more).
type Pipeline struct {
	opt   Options
	store Store
	ring  *ring
	spill *spill

	closed atomic.Bool
	flush  chan chan uint64
	stop   chan struct{} // closed: nothing is recorded any more
	ended  chan struct{} // closed: everything recorded is in the spill
	cancel context.CancelFunc
	work   sync.WaitGroup
	hurry  atomic.Int32 // flushes that wait: no gathering meanwhile

	last    uint64        // drain: the newest K given out
	written atomic.Uint64 // the newest K in the spill
	mu      sync.Mutex    // guards stored and moved
	stored  uint64        // everything up to here is in the store
	moved   chan struct{} // closed and made anew when stored grows

	counters
}

const (
	gather     = 20 * time.Millisecond  // how long the first event waits for company before it is written
	syncEvery  = 100 * time.Millisecond // between two fdatasyncs
	drainBytes = 256 << 10              // one write to the spill
)

// Open starts the pipeline; what a former process left in the spill goes to the store first. The caller makes sure
// that no other process has the folder: two of them would delete each other's files.
func Open(ctx context.Context, store Store, opt Options) (*Pipeline, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.Logger = cmp.Or(opt.Logger, slog.Default())
	if opt.Node == "" {
		opt.Node, _ = os.Hostname()
	}
	s, err := openSpill(opt.Dir, opt.SpillMax, opt.Logger)
	if err != nil {
		return nil, err
	}
	last, err := s.lastK()
	if err != nil {
		return nil, err
	}
	// A store that has newer rows than the spill (its folder was emptied) and a clock that was set back must not make
	// new events look like old ones. A store that cannot say so now is asked again before it gets the first row.
	asked, done := context.WithTimeout(ctx, time.Second)
	stored, err := store.Last(asked)
	if err != nil {
		stored = 0 // nobody can say: what is in the spill counts as on its way
	}
	last = max(last, stored)
	if s.bytes() == 0 {
		stored = last // nothing is on its way: a stop has nothing to wait for
	}
	done()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &Pipeline{
		opt: opt, store: store, ring: newRing(ringTerms), spill: s, last: last, stored: stored,
		flush: make(chan chan uint64), stop: make(chan struct{}), ended: make(chan struct{}),
		moved: make(chan struct{}), cancel: cancel,
	}
	p.written.Store(last)
	p.work.Go(p.drain)
	p.work.Go(p.syncer)
	p.work.Go(func() { newIngester(p).run(ctx) })
	return p, nil
}

// Record takes an event. It never blocks and does not allocate; the event's strings are copied, so that they may lie
// in buffers that are used again. Where neither memory nor disk has room the event is shed, and counted.
//
// One decision is recorded once: who answers a repeated question with the id of the first does not record it again.
func (p *Pipeline) Record(e Event) {
	if e.Time.IsZero() {
		e.Time = p.opt.Now()
	}
	if e.Node == "" {
		e.Node = p.opt.Node
	}
	if !p.opt.Names {
		e.UserName, e.UserEmail = "", ""
	}
	if p.closed.Load() || !p.ring.put(&e) {
		p.shed.Add(1)
	}
}

// Flush waits until everything recorded before it is in the store.
func (p *Pipeline) Flush(ctx context.Context) error {
	p.hurry.Add(1)
	defer p.hurry.Add(-1)
	reply := make(chan uint64, 1)
	var target uint64
	select {
	case p.flush <- reply:
		select {
		case target = <-reply:
		case <-ctx.Done(): // the disk of the spill hangs
			return fmt.Errorf("wait for the audit's spill: %w", ctx.Err())
		}
	case <-p.ended:
		target = p.written.Load()
	case <-ctx.Done():
		return fmt.Errorf("wait for the audit: %w", ctx.Err())
	}
	return p.reach(ctx, target)
}

// reach waits until the store has everything up to k.
func (p *Pipeline) reach(ctx context.Context, k uint64) error {
	for {
		p.mu.Lock()
		stored, moved := p.stored, p.moved
		p.mu.Unlock()
		if stored >= k {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for the audit store to take what is in the spill: %w", ctx.Err())
		}
	}
}

// Close stops taking events and brings what is there to the store; what the store does not take before ctx ends stays
// in the spill for the next start.
func (p *Pipeline) Close(ctx context.Context) error {
	if p.closed.Swap(true) {
		return nil
	}
	close(p.stop)
	<-p.ended
	p.hurry.Add(1)
	waited := p.reach(ctx, p.written.Load())
	p.cancel()
	p.work.Wait()
	safe, err := p.store.Last(ctx)
	if err != nil {
		safe = 0
	}
	p.spill.forget(p.stored) // nobody moves it any more
	err = errors.Join(waited, p.spill.close(p.written.Load(), safe))
	if p.opt.Sink != nil {
		err = errors.Join(err, p.opt.Sink.close(ctx))
	}
	return err
}
