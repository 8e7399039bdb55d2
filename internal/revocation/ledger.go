package revocation

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options is what a Ledger needs besides its store. The zero value works.
type Options struct {
	Logger *slog.Logger
	Now    func() time.Time
	// Heartbeat is how often the store is asked where it stands; 0 is a second.
	Heartbeat time.Duration
	// Seen is told of each change that is followed, those made by this node too, and those made while the index is loaded.
	// It must not block.
	Seen func(Change)
	// AskTimeout bounds a decision that asks the store itself; 0 is 500 ms. A claim may take twice as long, since it is
	// written: together that is less than the two seconds that the shim waits.
	AskTimeout time.Duration
}

// Ledger follows a store, keeps the index of it and the feed, and judges tokens.
type Ledger struct {
	store Store
	opt   Options
	index *Index
	feed  *Feed
	// currentAt is when the index was last known to hold all that the store held; Unix milliseconds, 0 before it was
	// first loaded.
	currentAt atomic.Int64
	loaded    chan struct{}
	stats     counters
	outage    outage
	loud      limiter
	details   details

	moving sync.Mutex // held while the index and at move on together
	ahead  []ahead

	mu       sync.Mutex
	at       position
	awaiting awaited
	beats    map[string]time.Time
	// wake ends a wait for changes early, because a heartbeat saw that the history is not the one that we follow.
	wake    context.CancelFunc
	applied chan struct{} // closed and made anew with each change of at

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// position is how far the index has followed which history.
type position struct {
	identity Identity
	run      string
	seq      uint64
	tag      string
}

// ahead is what this node has revoked and has not heard of from the store: seq is the number of a change after which the store
// had it.
type ahead struct {
	entry Entry
	seq   uint64
}

// awaited is a heartbeat that saw changes which had not been applied yet.
type awaited struct {
	seq uint64
	at  int64
}

// Open starts following a store and returns at once; Loaded says when the index is ready. Close ends it.
func Open(store Store, opt Options) *Ledger {
	opt.Logger = cmp.Or(opt.Logger, slog.New(slog.DiscardHandler))
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.Heartbeat = cmp.Or(opt.Heartbeat, time.Second)
	opt.AskTimeout = cmp.Or(opt.AskTimeout, 500*time.Millisecond)
	ctx, stop := context.WithCancel(context.Background())
	l := &Ledger{
		store: store, opt: opt, index: NewIndex(0), feed: newFeed(),
		loaded: make(chan struct{}), applied: make(chan struct{}), beats: map[string]time.Time{}, wake: func() {}, stop: stop,
	}
	l.stopped.Go(func() { l.keepFollowing(ctx) })
	l.stopped.Go(func() { l.keepBeating(ctx) })
	return l
}

// Close stops following and closes the store.
func (l *Ledger) Close() error {
	l.stop()
	l.stopped.Wait()
	return l.store.Close()
}

// Loaded is closed once the index has been loaded for the first time. No decision is made before.
func (l *Ledger) Loaded() <-chan struct{} { return l.loaded }

// Index is the index that follows the store.
func (l *Ledger) Index() *Index { return l.index }

// Store is the store that is followed.
func (l *Ledger) Store() Store { return l.store }

// Feed tells what has just been revoked.
func (l *Ledger) Feed() *Feed { return l.feed }

// FeedKeys appends to names the opaque keys under which the feed would name this token. The first of them is its user's, else its
// own: by it the shim knows whether two sessions are the same person's.
func (l *Ledger) FeedKeys(names []Name, m *Marks) []Name { return l.feed.lock.of(names, m) }

// Revoke writes revocations that Prepare accepted. When it returns, this node's index has them too, also where the store's
// changes reach it late or not at all.
func (l *Ledger) Revoke(ctx context.Context, rs []Revocation) (Written, error) {
	w, err := l.store.Revoke(ctx, rs)
	if err == nil {
		l.hold(w.Outcomes)
		l.awaitApplied(ctx, w.Seq, w.Outcomes...)
	}
	return w, err
}

// hold puts what this node has revoked into its index, ahead of the store's changes, which bring it once more. Where they
// have come as far, the index stays as it is: what was lifted since would never go again.
func (l *Ledger) hold(revoked []Outcome) {
	l.moving.Lock()
	defer l.moving.Unlock()
	at, before := l.position().seq, len(l.ahead)
	for _, o := range revoked {
		if at < o.Seq {
			l.ahead = append(l.ahead, ahead{o.Revocation.Entry(), o.Seq})
			l.keep(o.Revocation)
		}
	}
	l.index.putAhead(l.ahead[before:])
}

// reached forgets what the index has followed to. The caller holds moving.
func (l *Ledger) reached(seq uint64) {
	l.ahead = slices.DeleteFunc(l.ahead, func(a ahead) bool { return a.seq <= seq })
}

// heldAhead is how many entries are ahead.
func (l *Ledger) heldAhead() int {
	l.moving.Lock()
	defer l.moving.Unlock()
	return len(l.ahead)
}

// Lift takes a revocation back for an actor.
func (l *Ledger) Lift(ctx context.Context, id Key, actor string) (Revocation, Written, error) {
	r, w, err := l.store.Lift(ctx, id, actor)
	if err == nil {
		l.awaitApplied(ctx, w.Seq)
	}
	return r, w, err
}

// awaitApplied waits until the index has followed to seq, but not for long: a node that cannot follow must not hold up
// the answer to a revocation that stands. Where it came to seq and does not have what was revoked, that is the number of
// another history: the store was emptied since the last heartbeat, and the next one is due now.
func (l *Ledger) awaitApplied(ctx context.Context, seq uint64, revoked ...Outcome) {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	for asked := false; ; {
		l.mu.Lock()
		there, changed := l.at.seq >= seq, l.applied
		l.mu.Unlock()
		if there && l.has(revoked) {
			return
		}
		if there && !asked {
			asked = true
			_ = l.beat(ctx) // it is counted, and the next one tells
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (l *Ledger) has(revoked []Outcome) bool {
	for _, o := range revoked {
		if !l.index.covers(o.Revocation.Entry()) {
			return false
		}
	}
	return true
}

// Claim claims a token id for the session owner, once for the whole fleet. A claim that is not the first names the
// session that was, and how long ago: Claim.Admits says whether the connect is let in all the same. Where previous holds
// the mark, the session that owner continues, owner takes it over, so that it can be continued in turn. The mark is kept
// until until (the token's expiry with leeway; zero: for ever), and at least for the grace.
func (l *Ledger) Claim(ctx context.Context, issuer, jti, owner, previous string, grace time.Duration, until time.Time) (Claim, error) {
	if least := l.opt.Now().Add(grace); !until.IsZero() && until.Before(least) {
		until = least
	}
	ctx, cancel := context.WithTimeout(ctx, 2*l.opt.AskTimeout)
	defer cancel()
	return l.store.Claim(ctx, Mark{Key: keyOf(kindJTI, issuer, jti), Owner: owner, Resumes: previous, Until: until})
}

// Admits says whether the connect that made this claim is let in: it was the first, it is the session that holds the
// mark or took it over, or it came within the grace.
func (c Claim) Admits(owner string, grace time.Duration) bool {
	return c.First || c.Owner == owner || c.Age < grace
}

func newIdentity() Identity {
	var id Identity
	var epoch [8]byte
	rand.Read(epoch[:])
	rand.Read(id.Secret[:])
	id.Epoch = hex.EncodeToString(epoch[:])
	return id
}
