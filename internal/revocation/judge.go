package revocation

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/usher-im/usher/internal/reason"
)

// Rules is how one profile asks.
type Rules struct {
	// AllowWhenUnavailable lets tokens in that could not be checked, and says so loudly. The default denies.
	AllowWhenUnavailable bool
	// MaxStaleness is how old the index may be before each decision asks the store itself; 0 is 5 s.
	MaxStaleness time.Duration
	// Strict asks the store in every decision.
	Strict bool
}

const defaultStaleness = 5 * time.Second

// errLoading: there is no decision before the index was loaded for the first time.
var errLoading = errors.New("the revocations are still being loaded from it")

// Judge says whether a token is revoked: by the index, or by the store itself where the rules or the index's age ask
// for that. A revoked token comes back with the revocation's id and token_revoked; where no answer can be had the
// problem is revocation_unavailable.
func (l *Ledger) Judge(ctx context.Context, m *Marks, r Rules, now time.Time) (revocationID string, problem *reason.Problem) {
	if r.Strict || l.stale(r, now) {
		if !l.awaitLoaded(ctx) {
			return "", l.unavailable(errLoading)
		}
		if r.Strict || l.stale(r, now) {
			return l.ask(ctx, m, r, now)
		}
	}
	if id, revoked := l.index.Check(m, now.UnixMilli()); revoked {
		return id, revokedBy(id)
	}
	return "", nil
}

func revokedBy(id string) *reason.Problem {
	return &reason.Problem{Code: reason.TokenRevoked, Detail: "revocation " + id}
}

// Stale says whether the store has given no word for so long that each decision asks it.
func (l *Ledger) Stale(r Rules) bool { return l.stale(r, l.opt.Now()) }

func (l *Ledger) stale(r Rules, now time.Time) bool {
	limit := r.MaxStaleness
	if limit == 0 {
		limit = defaultStaleness
	}
	at := l.currentAt.Load()
	age := now.UnixMilli() - at
	return at == 0 || max(age, -age) > limit.Milliseconds() // current in the future: the clock was set back, and nobody can say
}

// awaitLoaded waits for the first load, for no longer than the store itself is waited for. Not even the store is asked
// before: what is let in without the store's secret has no keys, and could never be put out by the feed.
func (l *Ledger) awaitLoaded(ctx context.Context) bool {
	select {
	case <-l.loaded:
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, l.opt.AskTimeout)
	defer cancel()
	select {
	case <-l.loaded:
		return true
	case <-ctx.Done():
		return false
	}
}

// ask asks the store itself. What the index knows to be revoked stays revoked, whether the store is silent or says that it
// knows nothing of it: one that was emptied says that until all has been put back.
func (l *Ledger) ask(ctx context.Context, m *Marks, r Rules, now time.Time) (string, *reason.Problem) {
	ms := now.UnixMilli()
	if id, revoked := l.index.Check(m, ms); revoked {
		return id, revokedBy(id)
	}
	l.stats.asked.Add(1)
	ctx, cancel := context.WithTimeout(ctx, l.opt.AskTimeout)
	defer cancel()
	entries, err := l.store.Lookup(ctx, m.Keys())
	if err != nil {
		return "", l.withoutAnswer(r, now, err)
	}
	for _, e := range entries {
		if e.Revokes(m.IssuedAt, ms) {
			id := e.Key.String()
			return id, revokedBy(id)
		}
	}
	return "", nil
}

// withoutAnswer is what a token gets that nobody could be asked about.
func (l *Ledger) withoutAnswer(r Rules, now time.Time, err error) *reason.Problem {
	if r.AllowWhenUnavailable {
		l.stats.unchecked.Add(1)
		if l.loud.may(now) {
			l.opt.Logger.Error("tokens are let in unchecked: the revocation store cannot be asked and on_unavailable is allow", "error", err)
		}
		return nil
	}
	return l.unavailable(err)
}

func (l *Ledger) unavailable(err error) *reason.Problem {
	l.stats.unavailable.Add(1)
	return &reason.Problem{Code: reason.RevocationUnavailable, Detail: "the revocation store could not be asked: " + err.Error()}
}

// limiter lets one message a second through.
type limiter struct{ last atomic.Int64 }

func (l *limiter) may(now time.Time) bool {
	ms, last := now.UnixMilli(), l.last.Load()
	since := ms - last
	return max(since, -since) >= 1000 && l.last.CompareAndSwap(last, ms) // last in the future: the clock was set back
}
