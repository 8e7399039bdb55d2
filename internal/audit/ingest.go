package audit

import (
	"context"
	"fmt"
	"time"
)

// ingester carries rows from the spill to the store, in order and each once: before the first batch, and after every
// failure, it asks the store for the newest row that it has and goes on behind that.
type ingester struct {
	p        *Pipeline
	reader   spillReader
	pace     *Pacer
	known    bool // skip is what the store has
	skip     uint64
	failing  bool
	previous time.Time // when the last batch was done
	segment  uint64    // the spill's segment that was read last
}

const (
	batchRows   = 2000
	commitEvery = 100 * time.Millisecond // a trickle is stored in batches as well
	storeLimit  = 30 * time.Second
	// workMost is how much of a batch's time counts as work: waiting for a store that was away is none, and would be
	// followed by a rest of nine times its length.
	workMost = 100 * time.Millisecond
)

func newIngester(p *Pipeline) *ingester {
	return &ingester{p: p, reader: spillReader{s: p.spill}, pace: NewPacer()}
}

func (g *ingester) run(ctx context.Context) {
	defer g.reader.close()
	if !g.retry(ctx, g.ask) { // what is there from before is in the store, or comes now
		return
	}
	for ctx.Err() == nil {
		grown := g.p.spill.growth()
		rows, err := g.reader.next(batchRows)
		if err != nil {
			g.p.storeErrors.Add(1)
			g.p.opt.Logger.Error(err.Error() + "; trying again")
			wait(ctx, nil, time.Second)
			continue
		}
		if len(rows) == 0 {
			g.p.waiting.Store(0)
			wait(ctx, grown, 0)
			g.gather(ctx)
			continue
		}
		g.p.waiting.Store(rows[0].K)
		started := time.Now()
		if !g.deliver(ctx, rows) {
			return
		}
		g.previous = time.Now()
		wait(ctx, nil, g.rest(g.previous.Sub(started)))
	}
}

// gather lets a trickle come together, unless somebody waits for it.
func (g *ingester) gather(ctx context.Context) {
	if g.p.hurry.Load() == 0 {
		wait(ctx, nil, commitEvery-time.Since(g.previous))
	}
}

// rest is how long to leave the machine to others after this much work.
func (g *ingester) rest(worked time.Duration) time.Duration {
	if g.p.hurry.Load() > 0 {
		return 0
	}
	return g.pace.Rest(min(worked, workMost), float64(g.p.spill.bytes())/float64(max(g.p.opt.SpillMax, 1)))
}

// deliver brings rows to the store, however long it takes; false where ctx ended before.
func (g *ingester) deliver(ctx context.Context, rows []Row) bool {
	newest := rows[len(rows)-1].K
	ok := g.retry(ctx, func(ctx context.Context) error {
		if !g.known {
			if err := g.ask(ctx); err != nil {
				return err
			}
		}
		for len(rows) > 0 && rows[0].K <= g.skip {
			rows = rows[1:]
		}
		if len(rows) == 0 {
			return nil
		}
		return g.p.store.Append(ctx, rows)
	})
	if !ok {
		return false
	}
	g.p.storedRows.Add(int64(len(rows)))
	g.p.progress(newest)
	if g.reader.segment.first != g.segment {
		g.segment = g.reader.segment.first
		g.retry(ctx, g.release)
	}
	return true
}

func (g *ingester) ask(ctx context.Context) error {
	last, err := g.p.store.Last(ctx)
	if err != nil {
		return err
	}
	g.known, g.skip = true, last
	g.p.progress(last)
	return nil
}

// release lets go of the segments whose rows are safe.
func (g *ingester) release(ctx context.Context) error {
	safe, err := g.p.store.Last(ctx)
	if err != nil {
		return err
	}
	return g.p.spill.release(safe)
}

// retry calls f until it succeeds; false where ctx ended before. An outage and its end are one line each.
func (g *ingester) retry(ctx context.Context, f func(context.Context) error) bool {
	pause := 100 * time.Millisecond
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, storeLimit)
		err := f(limited)
		cancel()
		if err == nil {
			if g.failing {
				g.failing = false
				g.p.opt.Logger.Info("the audit store takes events again")
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		g.known = false
		g.p.storeErrors.Add(1)
		if !g.failing {
			g.failing = true
			g.p.opt.Logger.Error(fmt.Sprintf("the audit store does not take events, they wait in the spill on disk: %v", err))
		}
		wait(ctx, nil, pause)
		pause = min(2*pause, 5*time.Second)
	}
	return false
}

// progress says that the store has everything up to k.
func (p *Pipeline) progress(k uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k <= p.stored {
		return
	}
	p.stored = k
	close(p.moved)
	p.moved = make(chan struct{})
}

// wait ends with ctx, with woken, or after d where d is positive and woken nil.
func wait(ctx context.Context, woken <-chan struct{}, d time.Duration) {
	if woken != nil {
		select {
		case <-ctx.Done():
		case <-woken:
		}
		return
	}
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
