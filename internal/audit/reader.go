package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/oklog/ulid/v2"
)

// Reader asks a store on behalf of a person: it knows what stands for a value that was recorded under a pseudonym, and
// fills in what a question leaves open.
type Reader struct {
	store      Store
	pseudonyms *Pseudonyms
	now        func() time.Time
}

// MaxLimit is the most events that one page has, whatever was asked for.
const MaxLimit = 1000

const defaultLimit = 100

// NewReader reads from a store; pseudonyms may be nil.
func NewReader(store Store, pseudonyms *Pseudonyms) *Reader {
	return &Reader{store: store, pseudonyms: pseudonyms, now: time.Now}
}

// Query answers one page.
func (r *Reader) Query(ctx context.Context, q Query) (Page, error) {
	q = r.ready(q)
	return r.store.Query(ctx, q)
}

// Get finds one event by its id, also where a person typed it from a screenshot, or pasted what a client shows around it.
func (r *Reader) Get(ctx context.Context, id string) (Event, bool, error) {
	return r.store.Get(ctx, typed.Replace(strings.ToUpper(idIn(id))))
}

// idIn is the id in "This token has expired. (ID)".
func idIn(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for _, word := range slices.Backward(words) {
		if len(word) == ulid.EncodedSize {
			return word
		}
	}
	return strings.TrimSpace(text)
}

// Ids have no I, L or O.

var typed = strings.NewReplacer("I", "1", "L", "1", "O", "0")

// Stats counts decisions; without a span it takes five minutes.
func (r *Reader) Stats(ctx context.Context, q StatsQuery) ([]Count, error) {
	q.Query = r.ready(q.Query)
	switch q.By {
	case "":
		q.By = "reason"
	case "reason", "room", "issuer", "user", "ip":
	default:
		return nil, fmt.Errorf("counts go by reason, room, issuer, user or ip, not by %q", Clean(q.By))
	}
	q.Every = cmp.Or(q.Every, 5*time.Minute)
	if q.Every < time.Second || q.Every%time.Second != 0 {
		return nil, fmt.Errorf("counts take whole seconds, not every %s", q.Every)
	}
	open := q.Until.IsZero()
	if q.Since, q.Until = q.Whole(r.now()); open { // after the clock was set back the newest rows have keys of later than now
		q.Until = time.UnixMilli(MillisOf(LastK))
	}
	q.Kind = Decision
	return r.store.Stats(ctx, q)
}

// Follow calls f with every event that arrives from now on, until ctx ends or f fails.
func (r *Reader) Follow(ctx context.Context, q Query, f func(Event) error) error {
	return r.store.Follow(ctx, r.ready(q), f)
}

// Erase deletes all events of one user, recorded by name or under a pseudonym, and says how many.
func (r *Reader) Erase(ctx context.Context, user string) (int64, error) {
	if user == "" {
		return 0, fmt.Errorf("erase whom? name a user id")
	}
	n, err := r.store.Erase(ctx, Cut(user))
	if alias := r.pseudonyms.User(user); err == nil && alias != user {
		var more int64
		more, err = r.store.Erase(ctx, alias)
		n += more
	}
	return n, err
}

func (r *Reader) ready(q Query) Query {
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	q.Limit = min(q.Limit, MaxLimit)
	if r.pseudonyms != nil {
		q.userAlias, q.addressAlias = r.pseudonyms.User(q.User), r.pseudonyms.Address(q.RemoteIP)
	}
	return q
}
