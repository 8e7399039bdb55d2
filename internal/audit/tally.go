package audit

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// Tally counts events for a StatsQuery.
type Tally struct {
	by     string
	every  int64
	counts map[span]int64
	full   bool
}

type span struct {
	start int64
	key   string
}

// Allowed is the key of allowed decisions among counts by reason, and Unproven that of events whose signature was not
// proven among counts by what a token names: a forger's word counts against nobody.
const (
	Allowed  = "allowed"
	Unproven = "(unproven)"
)

// CountSpan is the span of time for which stores keep counts ready.
const CountSpan = 5 * time.Minute

// MostKeys bounds an answer: of rooms, users and addresses those with most events are shown.
const MostKeys = 50

// mostCounts bounds the memory of one question, about 70 MB: beside it the same process decides who gets in.
const mostCounts = 250_000

// ErrUncountable is the answer to counts that would take too much time or memory.
var ErrUncountable = errors.New("that is more than can be counted one by one: ask for a shorter time or longer spans, or by reason or issuer without other filters")

// Tally begins to count.
func (q StatsQuery) Tally() *Tally {
	return &Tally{by: q.By, every: q.Every.Milliseconds(), counts: map[span]int64{}}
}

// Ready says that the counts that stores keep (by reason, and by proven issuer, of decisions, for each CountSpan)
// answer the query.
func (q StatsQuery) Ready() bool {
	plain := Query{Since: q.Since, Until: q.Until, Limit: q.Limit, Kind: q.Kind}
	return q.Query == plain && (q.Kind == "" || q.Kind == Decision) && (q.By == "reason" || q.By == "issuer") && q.Every%CountSpan == 0
}

// Key is what an event counts under.
func (t *Tally) Key(e *Event) string {
	switch t.by {
	case "room":
		return e.Room
	case "ip":
		return e.RemoteIP
	case "issuer", "user":
		if !e.Proven {
			return Unproven
		}
		if t.by == "issuer" {
			return e.Issuer
		}
		return e.UserID
	}
	if e.Verdict == Allow {
		return Allowed
	}
	return string(e.Reason)
}

// Add counts n events of a key, at a moment in Unix milliseconds; false where it is of no use to go on.
func (t *Tally) Add(millis int64, key string, n int64) bool {
	if key == "" {
		return !t.full
	}
	s := span{floor(millis, t.every), key}
	if _, known := t.counts[s]; !known && len(t.counts) == mostCounts {
		t.full = true
	}
	if !t.full {
		t.counts[s] += n
	}
	return !t.full
}

// Counts gives the result by time and key, less the keys that too few events have.
func (t *Tally) Counts() ([]Count, error) {
	if t.full {
		return nil, ErrUncountable
	}
	totals := map[string]int64{}
	for s, n := range t.counts {
		totals[s.key] += n
	}
	keys := make([]string, 0, len(totals))
	for key := range totals {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(totals[b], totals[a]), cmp.Compare(a, b)) })
	shown := map[string]bool{}
	for _, key := range keys[:min(len(keys), MostKeys)] {
		shown[key] = true
	}
	counts := make([]Count, 0, len(t.counts))
	for s, n := range t.counts {
		if shown[s.key] {
			counts = append(counts, Count{Time: time.UnixMilli(s.start).UTC(), Key: s.key, Count: n})
		}
	}
	slices.SortFunc(counts, func(a, b Count) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Key, b.Key)) })
	return counts, nil
}

// ReadyKeys is under which keys a row counts in the counts that stores keep: by reason and by issuer. Events that are
// no decisions have none.
func (o *Outline) ReadyKeys() (byReason, byIssuer []byte, ok bool) {
	if o.Kind != Decision {
		return nil, nil, false
	}
	byReason, byIssuer = o.Reason, o.Issuer
	if o.Verdict == Allow {
		byReason = []byte(Allowed)
	}
	if !o.Proven {
		byIssuer = []byte(Unproven)
	}
	return byReason, byIssuer, true
}
