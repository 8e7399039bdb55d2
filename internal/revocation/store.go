package revocation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/token"
)

// What stores answer where there is nothing to give.
var (
	// ErrNotFound: no revocation has this id.
	ErrNotFound = errors.New("there is no revocation with this id: it was lifted, has expired, or never was")
	// ErrCursor: a page was asked for with a cursor that no page gave.
	ErrCursor = errors.New("this cursor is not one that a list gave: start again without it")

	errTokenAsked = errors.New("a token is looked for by its fingerprint, 32 hex digits: the token itself would stand in logs")
)

// Store keeps revocations and replay marks. Redis and SQLite implement it, and one contract test holds for both.
type Store interface {
	// Revoke writes revocations that Prepare accepted, in order, each merged with what is known under its key.
	Revoke(ctx context.Context, rs []Revocation) (Written, error)
	// Lift takes one back for an actor, and remembers that it was, so that no node puts it back later. ErrNotFound where
	// there is none.
	Lift(ctx context.Context, id Key, actor string) (Revocation, Written, error)
	// Get gives one in full, or ErrNotFound.
	Get(ctx context.Context, id Key) (Revocation, error)
	// List gives a page, newest first.
	List(ctx context.Context, q Query) (Page, error)
	// Lookup gives those of the keys that are revoked: a decision that asks the store itself.
	Lookup(ctx context.Context, keys []Key) ([]Entry, error)

	// State reads where the store stands. An empty store takes over what is offered as its identity. A beat that is not
	// empty comes back through Changes where the store is another process, so that the way can be timed.
	State(ctx context.Context, offer Identity, beat string) (State, error)
	// Snapshot calls yield with all entries, in parts. Entries that change meanwhile may be missing, stale or doubled:
	// the changes since a State read before mend that.
	Snapshot(ctx context.Context, yield func([]Entry) error) error
	// Changes gives what came after a sequence number, in order, waiting for the first where there is none yet. An empty
	// answer after the wait is no error; a first number that is not after+1 says that changes are gone.
	Changes(ctx context.Context, after uint64, wait time.Duration) ([]Change, error)
	// Restore writes entries that the store lost, less those that were lifted since they were made, and says how many. What it has of them gets
	// the later times.
	Restore(ctx context.Context, lost []Lost) (int, error)

	// Claim claims a jti for an owner, atomically: see Ledger.Claim.
	Claim(ctx context.Context, mark Mark) (Claim, error)

	Close() error
}

// Written says what became of a write.
type Written struct {
	Outcomes []Outcome
	// Seq is the number of the last change that the write made or found made.
	Seq uint64
	// Replicated: the store promises not to lose it (written, log on, and a replica has it where there is one).
	Replicated bool
}

// Outcome is one revocation as the store now has it.
type Outcome struct {
	Revocation Revocation
	// New: it was not known before.
	New bool
	// Seq is the number of a change after which the store had it so.
	Seq uint64
}

// Identity names a store's content. A store that was emptied has another.
type Identity struct {
	// Epoch is random, chosen when the store was empty.
	Epoch string
	// Secret keys the opaque keys of the feed.
	Secret [16]byte
}

// State is where a store stands.
type State struct {
	Identity
	// Run changes when the process behind the store does, or takes over another's history: a restart, a failover.
	Run string
	// Seq is the number of the last change, Tag its tag. Numbers are dense.
	Seq uint64
	Tag string
	// Durable: what is written survives a crash of the store. Replicas is how many follow it.
	Durable  bool
	Replicas int
	// Evicts: the server would throw entries away rather than refuse writes when its memory is full.
	Evicts bool
	// Entries is about how many there are.
	Entries int
}

// Change is one step of a store's history.
type Change struct {
	Seq uint64
	// Tag is random: two histories that have the same tag at a number are the same up to there.
	Tag    string
	Lifted bool
	Entry  Entry
	// Actor is who made the change; empty for what was put back.
	Actor string
	// Revocation in full, where it was not lifted: what a node needs to put it back into a store that lost it.
	Revocation *Revocation
	// Beat is set on a heartbeat, which has none of the above: what Beat was called with.
	Beat string
}

// Lost is an entry to be put back, with as much as the node knows of it.
type Lost struct {
	Entry      Entry
	Revocation *Revocation
}

// Query selects revocations.
type Query struct {
	Selector Selector
	Issuer   string
	Value    string
	Actor    string
	Limit    int
	Cursor   string
}

// Page is a part of a list.
type Page struct {
	Items []Revocation
	// Next continues the list; empty at its end.
	Next string
}

// Mark is one claim to a jti.
type Mark struct {
	Key   Key
	Owner string
	// Resumes is a session that the owner continues; where it holds the mark, the owner takes it over.
	Resumes string
	// Until is when the mark may be forgotten; zero: never.
	Until time.Time
}

// Claim says who was first with a jti.
type Claim struct {
	// First: it was this owner, just now.
	First bool
	// Owner is the session that holds it.
	Owner string
	// At is when it was first claimed and Age how long ago that is, both by the store's clock. Where that clock was set back
	// At may lie ahead, by Age: how long ago it was nobody can say then, and it must not count as just now.
	At  time.Time
	Age time.Duration
}

// ExpiredFor is how long what has expired is kept, by stores and indexes. It revokes nothing meanwhile and is in no list; but
// a clock that jumped ahead and is set right again must find it. Replay marks are kept as long where Redis, which clears
// them away by itself, is not the store.
const ExpiredFor = 24 * time.Hour

// LiftedFor is how long a store remembers that a revocation was lifted. A node that was cut off for longer might put it
// back into a store that was emptied meanwhile.
const LiftedFor = 30 * 24 * time.Hour

// Bound is how many items the page may have: 100 where the query does not say, and never more than 1,000.
func (q Query) Bound() int {
	if q.Limit <= 0 {
		return 100
	}
	return min(q.Limit, 1000)
}

// Selects says whether the query means a revocation.
func (q Query) Selects(r Revocation) bool {
	return (q.Selector == "" || q.Selector == r.Selector) && (q.Issuer == "" || q.Issuer == r.Issuer) &&
		(q.Value == "" || q.Value == r.Value) && (q.Actor == "" || q.Actor == r.Actor)
}

// Names gives the id of the one revocation that the query can mean, where it says in full what that names.
func (q Query) Names() (Key, bool) {
	if q.Value == "" || q.Selector.Code() == 0 || q.Selector.Scoped() && q.Issuer == "" {
		return Key{}, false
	}
	r := Revocation{Selector: q.Selector, Issuer: q.Issuer, Value: q.Value}
	return r.identity(), true
}

// Prepared brings a query's value into the form that is kept. A token has no place in a query: its fingerprint does.
func (q Query) Prepared() (Query, error) {
	if token.In(q.Value) {
		return q, errTokenAsked
	}
	if q.Selector == "" || q.Value == "" && (q.Selector != SelectIssuer || q.Issuer == "") {
		if q.Selector != "" && q.Selector.Code() == 0 {
			return q, fmt.Errorf("the selector %q is none: use token, jti, user, kid, issuer or room", q.Selector)
		}
		return q, nil
	}
	if _, isKey := ParseKey(strings.ToLower(q.Value)); q.Selector == SelectToken && !isKey {
		return q, errTokenAsked
	}
	r := Revocation{Selector: q.Selector, Issuer: q.Issuer, Value: q.Value}
	if r.Issuer == "" && q.Selector.Scoped() {
		r.Issuer = "any"
	}
	r, err := Prepare(r, time.Now())
	if q.Value = r.Value; q.Issuer != "" {
		q.Issuer = r.Issuer // of a token or an issuer none
	}
	return q, err
}
