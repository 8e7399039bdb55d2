package audit

import (
	"cmp"
	"time"

	"github.com/usher-im/usher/internal/reason"
)

// Query chooses events. The zero value of a field asks for nothing; all that are set must hold.
type Query struct {
	// Since is the first moment that counts, Until the first that does not.
	Since, Until time.Time
	Kind         Kind
	Verdict      Verdict
	Reason       reason.Code
	// Room is a room's JID, its name alone, whatever its tenant and domain, or [tenant]name.
	Room        string
	Tenant      string
	User        string
	Issuer      string
	Subject     string
	JTI         string
	Kid         string
	Fingerprint Fingerprint
	RemoteIP    string
	Host        string
	Profile     string
	Node        string
	Session     string
	Stage       string
	// Proven leaves out events whose signature was not proven.
	Proven bool
	// Limit is the most events of one page; 0 means 100, and 1000 is the top.
	Limit int
	// Cursor goes on where a page ended.
	Cursor string

	// What stands for User and RemoteIP in rows that were written under pseudonyms; set by a Reader.
	userAlias, addressAlias string
}

// Page is a part of the answer, newest first. An empty Next means that nothing older is left; a page may hold fewer
// events than the limit, even none, and still have a Next: the search went as far as one question may cost.
type Page struct {
	Events []Event
	Next   string
}

// StatsQuery counts events over time. By is one of reason, room, issuer, user, ip.
type StatsQuery struct {
	Query
	By    string
	Every time.Duration
}

// Whole gives the time that is counted. Spans are whole: since is moved back, and until forward, to the next border. Left
// out, until is now, and since a day before it.
func (q StatsQuery) Whole(now time.Time) (since, until time.Time) {
	until = cmp.Or(q.Until, now)
	since = cmp.Or(q.Since, until.Add(-24*time.Hour))
	every := q.Every.Milliseconds()
	return time.UnixMilli(floor(since.UnixMilli(), every)), time.UnixMilli(floor(until.UnixMilli()+every-1, every))
}

func floor(v, step int64) int64 { return v - ((v%step)+step)%step }

// Count is how many events of one key fell into the span that begins at Time.
type Count struct {
	Time  time.Time `json:"time"`
	Key   string    `json:"key"`
	Count int64     `json:"count"`
}
