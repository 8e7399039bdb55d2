package keys

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/keys/fetch"
	"github.com/usher-im/usher/internal/token"
)

// Options are what an issuer allows, and what the ring works with.
type Options struct {
	// AllowShortSecret takes secrets under 32 bytes.
	AllowShortSecret bool
	// AllowHTTP fetches keys over plain http off loopback.
	AllowHTTP bool
	// Logger hears of sources that break and mend; nil: nobody does.
	Logger *slog.Logger
	// Predecessors are rings of the config that is being replaced. A URL that they follow too goes on with the keys that
	// it has there, so that a reload while its server is down loses none. They may be closed once Open has returned.
	Predecessors []*Ring
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Ring holds the keys of one issuer. Its methods may be called from anywhere at once.
type Ring struct {
	sources []source
	remotes []remote // those of sources that can be asked for a kid
	sets    []remote // those of remotes that have all their kids at once

	snap       atomic.Pointer[snapshot]
	generation atomic.Uint64
	rebuilding sync.Mutex

	now  func() time.Time
	log  *slog.Logger
	pace pace

	ends   []time.Time // when configured keys reach their end
	client *fetch.Client
	ctx    context.Context // ends with Close; what the ring's goroutines live by
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// source is one entry of the config.
type source interface {
	// current are its last good keys, in its own order. The slice is not changed any more.
	current() []*Key
	// list shows its keys and how it fares.
	list(now time.Time) []Info
}

// remote is a source that may know a kid that has not been heard of yet.
type remote interface {
	source
	// demand asks for what is wanted if that may be asked now. It never blocks.
	demand(w wanted) demand
	// landed says what a flight that has ended means for what is wanted.
	landed(f *flight, w wanted) demand
	// defaults are the algorithms that keys of it that are not known yet may turn out to want.
	defaults() []token.Algorithm
	// run follows the source until ctx ends.
	run(ctx context.Context)
}

// generations counts for all rings of the process, so that what rested on a ring from before a reload of the config
// is never taken for something that rests on its successor.
var generations atomic.Uint64

// Open reads the sources of an issuer and follows them until Close. What is wrong with a secret or a file is an error
// here; a URL that cannot be reached is not: the ring then starts without its keys, says so in List, and goes on
// asking. ctx bounds the opening only.
func Open(ctx context.Context, sources []config.KeySource, opt Options) (*Ring, error) {
	return open(ctx, sources, opt, usual)
}

func open(ctx context.Context, sources []config.KeySource, opt Options, p pace) (*Ring, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &Ring{now: opt.Now, log: opt.Logger, pace: p, client: fetch.New(p.timeout)}
	if r.now == nil {
		r.now = time.Now
	}
	r.log = cmp.Or(r.log, slog.New(slog.DiscardHandler))
	for _, cs := range sources {
		s, err := r.source(cs, opt)
		if err != nil {
			return nil, err
		}
		r.sources = append(r.sources, s)
		r.ends = append(r.ends, cs.NotAfter)
		if s, ok := s.(remote); ok {
			r.remotes = append(r.remotes, s)
		}
		if s, ok := s.(*set); ok {
			r.sets = append(r.sets, s)
		}
	}
	r.snap.Store(r.take())
	r.generation.Store(generations.Add(1))
	r.start()
	return r, nil
}

func (r *Ring) start() {
	r.ctx, r.cancel = context.WithCancel(context.Background())
	for _, s := range r.remotes {
		r.wg.Go(func() { s.run(r.ctx) })
	}
	if k := r.keeper(); k != nil {
		r.wg.Go(func() { k.run(r.ctx) })
	}
}

// Close stops following the sources and waits until everything that the ring had under way has ended. Keys that are
// known stay usable.
func (r *Ring) Close() {
	r.cancel()
	r.wg.Wait()
}

// Generation moves whenever a key changes or goes, by its source's word, by its end, or because its source has been
// silent for too long. What was proven under another generation must be proven again. No two rings share one.
func (r *Ring) Generation() uint64 { return r.generation.Load() }

// DefaultAlgorithms are those that are accepted where the config lists none: what the keys suggest. A URL whose keys
// are not known counts for every public-key algorithm that it might bring, so that its tokens are answered with
// key_unavailable and not with a verdict. The slice is not to be changed.
func (r *Ring) DefaultAlgorithms() []token.Algorithm { return r.snap.Load().defaults }

// take makes a snapshot of what the sources hold now.
func (r *Ring) take() *snapshot {
	var all []*Key
	unread := false
	for _, s := range r.sources {
		keys := s.current()
		all = append(all, keys...)
		if _, ok := s.(*set); ok && keys == nil {
			unread = true
		}
	}
	wanted := make(map[token.Algorithm]bool)
	for _, s := range r.remotes {
		for _, alg := range s.defaults() {
			wanted[alg] = true
		}
	}
	s := newSnapshot(all, wanted)
	s.unread = unread
	return s
}

// rebuild takes over what the sources hold now. Find sees the new keys before the generation moves: whoever read the
// old generation first has at worst something voided that was good.
func (r *Ring) rebuild() {
	r.rebuilding.Lock()
	defer r.rebuilding.Unlock()
	old, next := r.snap.Load(), r.take()
	r.snap.Store(next)
	if voids(old, next) {
		r.move()
	}
	close(old.replaced)
}

func (r *Ring) move() { r.generation.Store(generations.Add(1)) }

// voids tells whether something that was proven with old's keys may not hold with next's. A key that a key server gave
// on demand, and that was not there before, voids nothing.
func voids(old, next *snapshot) bool {
	var before, after []*Key
	for _, k := range old.keys {
		if !k.onDemand {
			before = append(before, k)
		} else if !next.holds(k) {
			return true
		}
	}
	for _, k := range next.keys {
		if !k.onDemand {
			after = append(after, k)
		}
	}
	return !sameKeys(before, after)
}

func (s *snapshot) holds(k *Key) bool {
	for _, other := range s.named[k.Kid] {
		if same(k, other) {
			return true
		}
	}
	return false
}
