package revocation

import (
	"context"
	"crypto/rand"
	"time"
)

// keepBeating asks the store where it stands, at each heartbeat, until ctx ends. That is how the index knows its age,
// and how a store that was emptied or replaced is noticed: waiting for changes would wait for ever.
func (l *Ledger) keepBeating(ctx context.Context) {
	tick := time.NewTicker(l.opt.Heartbeat)
	defer tick.Stop()
	missed := 0 // in a row
	for {
		select {
		case <-tick.C:
			if err := l.beat(ctx); err == nil {
				missed = 0
				l.outage.ended(&l.outage.heart, l.opt.Logger)
			} else if missed++; missed == missedMost && ctx.Err() == nil {
				l.outage.begins(&l.outage.heart, err, l.opt.Logger)
			}
			l.index.Sweep(l.opt.Now().UnixMilli(), l.index.capacity()/sweepParts+1)
		case <-ctx.Done():
			return
		}
	}
}

// missedMost is how many heartbeats in a row go by unanswered before the log says so. A second apart, that is before the
// index is too old by the default max_staleness.
const missedMost = 3

// sweepParts is in how many heartbeats the whole index is swept of what has expired.
const sweepParts = 60

func (l *Ledger) beat(ctx context.Context) error {
	before := l.position()
	if before.identity.Epoch == "" {
		return nil // the first load is under way
	}
	ctx, cancel := context.WithTimeout(ctx, max(l.opt.Heartbeat, l.opt.AskTimeout))
	defer cancel()
	id := rand.Text()
	asked := l.opt.Now()
	l.mu.Lock()
	l.beats[id] = asked
	l.mu.Unlock()
	st, err := l.store.State(ctx, l.offer(), id)
	if err != nil {
		l.stats.missed.Add(1)
		l.forget(id)
		return err
	}
	l.notice(st)
	if moved := l.weigh(before, st, asked.UnixMilli()); moved {
		// No context ends a wait that a server has been asked for. The next change does, and a heartbeat is one.
		_, err = l.store.State(ctx, l.offer(), rand.Text())
	}
	return err
}

// weigh compares where the store stands with where the index was before it was asked, and says whether its history is not
// the one that we follow any more.
func (l *Ledger) weigh(before position, st State, asked int64) (moved bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.at.identity.Epoch != before.identity.Epoch || l.at.run != before.run: // moved on meanwhile; the next beat tells
	case st.Epoch != before.identity.Epoch || st.Run != before.run || st.Seq < before.seq:
		l.wake()
		return true
	case l.at.seq >= st.Seq:
		l.current(asked)
	case l.awaiting.seq == 0:
		l.awaiting = awaited{seq: st.Seq, at: asked}
	}
	return false
}

// heard notes a heartbeat that came back through the store.
func (l *Ledger) heard(id string) {
	if sent, ours := l.forget(id); ours {
		l.stats.propagation.observe(l.opt.Now().Sub(sent))
	}
}

func (l *Ledger) forget(id string) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent, ours := l.beats[id]
	delete(l.beats, id)
	if len(l.beats) > 100 {
		clear(l.beats) // a store that gives none back
	}
	return sent, ours
}

// notice keeps what the store says of itself, and warns once where it can lose what it took.
func (l *Ledger) notice(st State) {
	old := l.stats.state.Swap(&st)
	if !st.Durable && (old == nil || old.Durable) {
		l.opt.Logger.Warn("the revocation store may lose revocations in a crash, so they are answered as not yet replicated: run `redis-cli config set appendonly yes`, then write it into redis.conf (a restart with it alone begins empty), and see that the disk has room for it")
	}
	if st.Evicts && (old == nil || !old.Evicts) {
		l.opt.Logger.Warn("the revocation store throws entries away when its memory is full: set Redis' maxmemory-policy to noeviction")
	}
}
