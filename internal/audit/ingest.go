package audit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ingester carries rows from the spill to the store, in order and each once: before the first batch, and after every
// failure, it asks the store for the newest row that it has and goes on behind that. One that has less than it had gets again
// what the spill still holds.
type ingester struct {
	p        *Pipeline
	reader   spillReader
	pace     *Pacer
	known    bool // skip is what the store has
	skip     uint64
	has      uint64 // the newest row that the store took, or said that it has
	anew     bool   // the store has lost rows: the spill is read from its beginning
	failing  bool
	previous time.Time // when the last batch was done
	segment  uint64    // the spill's segment that was read last
	again    time.Time // when to tidy the spill again after that failed
}

const (
	batchRows   = 2000
	commitEvery = 100 * time.Millisecond // a trickle is stored in batches as well
	storeLimit  = 30 * time.Second
	// workMost is how much of a batch's time counts as work: waiting for a store that was away is none, and would be
	// followed by a rest of nine times its length.
	workMost = 100 * time.Millisecond
	// spillMost is how long the spill of a quiet node keeps rows that the store has, no longer than audit.retention.
	spillMost = 24 * time.Hour
	lookEvery = time.Minute
	// lossEvery is how often the spill is read from its beginning at most.
	lossEvery = time.Second
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
			wait(ctx, time.Second)
			continue
		}
		if len(rows) == 0 {
			g.p.waiting.Store(0)
			g.idle(ctx, grown)
			g.gather(ctx)
			continue
		}
		g.p.waiting.Store(rows[0].K)
		started := time.Now()
		if !g.deliver(ctx, rows) {
			return
		}
		g.previous = time.Now()
		wait(ctx, g.rest(g.previous.Sub(started)))
	}
}

// idle waits for rows when the store has all that there were.
func (g *ingester) idle(ctx context.Context, grown <-chan struct{}) {
	if !g.p.opt.Now().Before(g.again) {
		g.tidy(ctx)
	}
	look := time.NewTimer(lookEvery)
	defer look.Stop()
	select {
	case <-ctx.Done():
	case <-grown:
	case <-look.C:
	}
}

// tidy has what is safe in the store leave the spill. Where that fails events go on to the store all the same.
func (g *ingester) tidy(ctx context.Context) {
	now := g.p.opt.Now()
	if err := g.release(ctx, now); err != nil && ctx.Err() == nil {
		g.again = now.Add(lookEvery)
		g.p.opt.Logger.Warn(fmt.Sprintf("the audit spill keeps what the store has as well: %v; trying again in a minute", err))
	}
}

// release ends the newest segment where it is old, and lets go of the others whose rows are safe.
func (g *ingester) release(ctx context.Context, now time.Time) error {
	since, several := g.p.spill.holds()
	if !since.IsZero() && now.Sub(since) >= g.p.keep() {
		if err := g.p.spill.rotate(); err != nil {
			return err
		}
		several = true
	}
	if !several {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	safe, err := g.p.store.Last(ctx)
	if err != nil {
		return err
	}
	return g.p.spill.release(safe)
}

// keep is how long rows may stay in the spill that the store has.
func (p *Pipeline) keep() time.Duration {
	if p.opt.Retention > 0 {
		return min(p.opt.Retention, spillMost)
	}
	return spillMost
}

// gather lets a trickle come together, unless somebody waits for it.
func (g *ingester) gather(ctx context.Context) {
	if g.p.hurry.Load() == 0 {
		wait(ctx, commitEvery-time.Since(g.previous))
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
		if len(rows) == 0 || g.anew {
			return nil
		}
		return g.p.store.Append(ctx, rows)
	})
	if !ok {
		return false
	}
	if g.anew {
		wait(ctx, lossEvery)
		g.reader.close()
		g.reader, g.anew = spillReader{s: g.p.spill}, false
		return true
	}
	g.has = max(g.has, newest)
	g.p.storedRows.Add(int64(len(rows)))
	if g.reader.segment.first != g.segment {
		g.segment = g.reader.segment.first
		g.tidy(ctx)
	}
	g.p.progress(newest)
	return true
}

func (g *ingester) ask(ctx context.Context) error {
	last, err := g.p.store.Last(ctx)
	if err != nil {
		return err
	}
	if last < g.has {
		g.anew = true
		g.p.opt.Logger.Warn("the audit store has lost events that it had taken: it gets those again that the spill still holds")
	}
	g.known, g.skip, g.has = true, last, last
	g.p.progress(last)
	return nil
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
		if errors.Is(err, ErrLost) {
			wait(ctx, commitEvery)
			continue
		}
		g.p.storeErrors.Add(1)
		if !g.failing {
			g.failing = true
			g.p.opt.Logger.Error(fmt.Sprintf("the audit store does not take events, they wait in the spill on disk: %v", err))
		}
		wait(ctx, pause)
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

// wait ends with ctx, or after d.
func wait(ctx context.Context, d time.Duration) {
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
