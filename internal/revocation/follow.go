package revocation

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

var (
	// errGap: the store no longer has all changes since our position.
	errGap = errors.New("changes are missing between the index and the store")
	// errMoved: the store's history is not the one that we followed.
	errMoved = errors.New("the store was restarted, replaced or emptied")
)

// keepFollowing follows the store until ctx ends, over every failure of it.
func (l *Ledger) keepFollowing(ctx context.Context) {
	var pause time.Duration
	failing := false
	for {
		err := l.follow(ctx, func() {
			pause, failing = 0, false
			l.outage.ended(&l.outage.follower, l.opt.Logger)
		})
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, errMoved) && !failing {
			failing = true
			l.stats.failures.Add(1)
			l.outage.begins(&l.outage.follower, err, l.opt.Logger)
		}
		pause = min(max(2*pause, 5*time.Millisecond), 250*time.Millisecond)
		if !sleep(ctx, pause) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// outage is what keeps a store from being followed: its changes cannot be read, or it does not answer heartbeats (a store
// may answer one of them and not the other). It is one line in the log, and its end another.
type outage struct {
	mu              sync.Mutex
	follower, heart bool
	said            bool
}

func (o *outage) begins(where *bool, err error, log *slog.Logger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	*where = true
	if !o.said {
		o.said = true
		log.Error("the revocation store cannot be followed: once the index is older than max_staleness each decision asks the store itself", slog.Any("error", err))
	}
}

func (o *outage) ended(where *bool, log *slog.Logger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	*where = false
	if o.said && !o.follower && !o.heart {
		o.said = false
		log.Info("the revocation store is followed again")
	}
}

// follow brings the index up to where the store stands and applies change after change. It calls following each time that
// it has what the store gave, and returns when something is wrong.
func (l *Ledger) follow(parent context.Context, following func()) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	asked := l.opt.Now().UnixMilli()
	st, err := l.store.State(ctx, l.offer(), "")
	if err != nil {
		return err
	}
	l.notice(st)
	if err := l.catchUp(ctx, st, asked); err != nil {
		return err
	}
	// Not before: what is loaded sees by itself that the store has moved on meanwhile, and takes longer than a heartbeat.
	l.mu.Lock()
	l.wake = func() { cancel(errMoved) }
	l.mu.Unlock()
	for {
		changes, err := l.store.Changes(ctx, l.position().seq, l.opt.Heartbeat)
		if err == nil && ctx.Err() == nil {
			if err = l.apply(changes); errors.Is(err, errGap) {
				err = l.reload(ctx)
			}
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		}
		following()
	}
}

// apply takes changes over, in order: first into the index, then to the feed.
func (l *Ledger) apply(changes []Change) error {
	l.moving.Lock()
	defer l.moving.Unlock()
	at := l.position()
	steps, err := l.advance(l.index, &at, changes)
	if len(steps) == 0 {
		return err
	}
	l.feed.add(steps)
	l.tell(steps)
	l.reached(at.seq)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = at
	if l.awaiting.seq != 0 && at.seq >= l.awaiting.seq {
		l.current(l.awaiting.at)
		l.awaiting = awaited{}
	}
	close(l.applied)
	l.applied = make(chan struct{})
	return err
}

func (l *Ledger) tell(steps []Change) {
	if l.opt.Seen == nil {
		return
	}
	for _, c := range steps {
		l.opt.Seen(c)
	}
}

// advance applies changes to an index and moves the position with them. Numbers are dense: one that is skipped is a
// change that we would never hear of again.
func (l *Ledger) advance(x *Index, at *position, changes []Change) (steps []Change, err error) {
	for _, c := range changes {
		if c.Beat != "" {
			l.heard(c.Beat)
			continue
		}
		if c.Seq <= at.seq {
			continue
		}
		if c.Seq != at.seq+1 {
			return steps, errGap
		}
		if c.Lifted {
			x.Remove(c.Entry.Key)
		} else {
			x.Put(c.Entry)
			if c.Revocation != nil {
				l.keep(*c.Revocation)
			}
		}
		at.seq, at.tag = c.Seq, c.Tag
		steps = append(steps, c)
	}
	return steps, nil
}

func (l *Ledger) position() position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// current notes that the index held all that the store held at ms. The caller holds mu.
func (l *Ledger) current(ms int64) {
	if at := l.currentAt.Load(); ms > at || at > l.opt.Now().UnixMilli() { // in the future: the clock was set back
		l.currentAt.Store(ms)
	}
}

// offer is the identity for a store that has none. A store that lost its own gets the secret back under which this
// node's sessions got their keys.
func (l *Ledger) offer() Identity {
	id := newIdentity()
	if at := l.position(); at.identity.Epoch != "" {
		id.Secret = at.identity.Secret
	}
	return id
}
