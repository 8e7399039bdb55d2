package revocation

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// catchUp brings the index from where it is to where the store stood when it was asked.
func (l *Ledger) catchUp(ctx context.Context, st State, asked int64) error {
	at := l.position()
	if at.identity.Epoch == "" {
		return l.load(ctx, st, false)
	}
	same, err := l.sameHistory(ctx, at, st)
	if err != nil {
		return err
	}
	if !same {
		l.opt.Logger.Warn("the revocation store was restarted, replaced or emptied: loading it anew, and putting back what it lost",
			slog.Uint64("at", at.seq), slog.Uint64("store_at", st.Seq))
		return l.load(ctx, st, true)
	}
	l.mu.Lock()
	l.at.run = st.Run
	l.mu.Unlock()
	// This tells as much as a heartbeat does: who lost nothing while the store was away need not wait for the next one.
	l.weigh(l.position(), st, asked)
	return nil
}

// sameHistory says whether the store's history goes on from our position. A restart or failover that kept everything
// does; one that lost the last changes has another tag at our number, or does not reach it.
func (l *Ledger) sameHistory(ctx context.Context, at position, st State) (bool, error) {
	if st.Epoch != at.identity.Epoch || st.Seq < at.seq {
		return false, nil
	}
	if st.Run == at.run {
		return true, nil
	}
	if l.heldAhead() > 0 { // no change that was heard of would tell that these are lost
		return false, nil
	}
	if at.seq == 0 {
		return true, nil
	}
	if st.Seq == at.seq {
		return st.Tag == at.tag, nil
	}
	changes, err := l.store.Changes(ctx, at.seq-1, 0)
	if err != nil {
		return false, err
	}
	for _, c := range changes {
		if c.Seq == at.seq {
			return c.Tag == at.tag, nil
		}
	}
	return false, nil
}

func (l *Ledger) reload(ctx context.Context) error {
	l.stats.gaps.Add(1)
	st, err := l.store.State(ctx, l.offer(), "")
	if err != nil {
		return err
	}
	// The store may have been emptied since, and be past us already.
	same, err := l.sameHistory(ctx, l.position(), st)
	if err != nil {
		return err
	}
	return l.load(ctx, st, !same)
}

// load fills a new index aside and swaps it in. The order makes it whole: where the store stands, then all entries,
// then the changes since, up to where the store stood after the last entry was read. Until the swap the old index
// answers.
func (l *Ledger) load(ctx context.Context, st State, putBack bool) error {
	next := NewIndex(st.Entries)
	read := 0
	err := l.store.Snapshot(ctx, func(entries []Entry) error {
		for _, e := range entries {
			next.Put(e)
		}
		if before := read; before/collectEvery != (before+len(entries))/collectEvery {
			runtime.GC()
		}
		read += len(entries)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if putBack {
		if err := l.putBack(ctx, next); err != nil {
			return err
		}
	}
	asked := l.opt.Now().UnixMilli()
	end, err := l.store.State(ctx, l.offer(), "")
	if err != nil {
		return err
	}
	if end.Epoch != st.Epoch || end.Run != st.Run || end.Seq < st.Seq {
		return errMoved
	}
	at := position{identity: st.Identity, run: st.Run, seq: st.Seq, tag: st.Tag}
	meanwhile, err := l.advanceTo(ctx, next, &at, end.Seq)
	if err != nil {
		return err
	}
	before, err := l.store.Changes(ctx, at.seq-min(at.seq, feedBefore), 0)
	if err != nil {
		return err
	}
	l.takeOver(next, at, before, asked)
	l.tell(meanwhile)
	if read >= collectEvery {
		debug.FreeOSMemory()
	}
	return nil
}

// collectEvery is after how many entries the collector is called. What reading leaves behind is twice what the index
// takes, and a process that lets its heap grow to five times what is alive would grow by all of it; the index itself
// holds no pointers, so a collection costs next to nothing.
const collectEvery = 200_000

// feedBefore is how many changes from before a load the feed is given, so that a shim that reconnects to a node that
// was restarted misses nothing.
const feedBefore = 1000

func (l *Ledger) advanceTo(ctx context.Context, x *Index, at *position, seq uint64) (all []Change, err error) {
	for at.seq < seq {
		changes, err := l.store.Changes(ctx, at.seq, 0)
		if err != nil {
			return nil, err
		}
		steps, err := l.advance(x, at, changes)
		if err != nil {
			return nil, err
		}
		if len(steps) == 0 {
			return nil, errGap
		}
		all = append(all, steps...)
	}
	return all, nil
}

func (l *Ledger) takeOver(next *Index, at position, before []Change, asked int64) {
	for len(before) > 0 && (before[len(before)-1].Beat != "" || before[len(before)-1].Seq > at.seq) {
		before = before[:len(before)-1]
	}
	l.moving.Lock()
	defer l.moving.Unlock()
	l.reached(at.seq)
	next.putAhead(l.ahead)
	l.index.replace(next)
	l.feed.restart(at, before)
	l.stats.loads.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.at.identity.Epoch == ""
	l.at, l.awaiting = at, awaited{}
	l.current(asked)
	close(l.applied)
	l.applied = make(chan struct{})
	if first {
		close(l.loaded)
	}
}

// putBackBatch bounds what one write puts back.
const putBackBatch = 500

// putBack writes what this node holds and the store does not have any more, or only with earlier times. The store itself
// leaves alone what it has meanwhile, and what was lifted while we did not look.
func (l *Ledger) putBack(ctx context.Context, has *Index) error {
	var lost []Lost
	ahead := l.heldAhead() // all of it is in the index
	now := l.opt.Now().UnixMilli()
	l.index.Each(func(e Entry) bool {
		if (e.ExpiresAt == 0 || e.ExpiresAt > now) && !has.covers(e) {
			lost = append(lost, Lost{Entry: e, Revocation: l.kept(e.Key)})
		}
		return true
	})
	if err := l.restore(ctx, lost); err != nil {
		return err
	}
	l.moving.Lock()
	defer l.moving.Unlock()
	l.ahead = l.ahead[ahead:]
	return nil
}

func (l *Ledger) restore(ctx context.Context, lost []Lost) error {
	if len(lost) == 0 {
		return nil
	}
	total := 0
	for len(lost) > 0 {
		n := min(len(lost), putBackBatch)
		done, err := l.store.Restore(ctx, lost[:n])
		if err != nil {
			return err
		}
		total, lost = total+done, lost[n:]
	}
	l.stats.putBack.Add(int64(total))
	l.opt.Logger.Warn("revocations that the store had lost were put back", slog.Int("entries", total))
	return nil
}
