// Package inquiry reads questions to the audit as people and programs write them. The CLI's flags and the API's query
// parameters have the same names, and the same values are right and wrong.
package inquiry

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation/intake"
)

// Values are parameters by name. An empty value is as good as none.
type Values map[string]string

// Scope is which parameters a question may have.
type Scope struct {
	name  string
	takes []string
}

var (
	filters = []string{"verdict", "reason", "room", "tenant", "user", "issuer", "subject", "jti", "kid", "fingerprint", "ip", "host", "stage", "profile", "node", "session", "proven"}
	span    = []string{"since", "until"}
	paging  = []string{"limit", "cursor"}
)

// The scopes. Decisions finds decisions, Events everything, Live what comes from now on, Counts are over time.
var (
	Decisions = Scope{"decisions", slices.Concat(span, filters, paging)}
	Events    = Scope{"events", slices.Concat([]string{"kind"}, span, filters, paging)}
	Live      = Scope{"the stream", filters}
	Counts    = Scope{"counts", slices.Concat([]string{"by", "every"}, span, filters)}
)

// Fault is a parameter that is wrong, and what would be right.
type Fault struct{ Parameter, Remedy string }

func (f *Fault) Error() string { return f.Parameter + ": " + f.Remedy }

func fault(parameter, format string, a ...any) error {
	return &Fault{parameter, fmt.Sprintf(format, a...)}
}

// Query reads what chooses events.
func Query(scope Scope, v Values, now time.Time) (audit.Query, error) {
	q := audit.Query{
		Kind: audit.Decision,
		Room: v["room"], Tenant: v["tenant"], User: v["user"], Issuer: v["issuer"], Subject: v["subject"], JTI: v["jti"], Kid: v["kid"],
		RemoteIP: v["ip"], Host: v["host"], Profile: v["profile"], Node: v["node"], Session: v["session"], Cursor: v["cursor"],
	}
	if err := scope.check(v); err != nil {
		return q, err
	}
	if !scope.DecisionsAlone() {
		const all audit.Kind = "all" // as the command says it; so does nothing at all
		kind, err := oneOf(v, "kind", audit.Decision, audit.Revocation, audit.Lift, audit.Ejection, audit.Admin, all)
		if err != nil {
			return q, err
		}
		if q.Kind = kind; kind == all {
			q.Kind = ""
		}
	}
	return q, fill(&q, v, now)
}

// Stats reads what is to be counted.
func Stats(v Values, now time.Time) (audit.StatsQuery, error) {
	q, err := Query(Counts, v, now)
	s := audit.StatsQuery{Query: q, By: v["by"], Every: audit.CountSpan}
	if err != nil {
		return s, err
	}
	if s.By, err = oneOf(v, "by", "reason", "room", "issuer", "user", "ip"); err != nil {
		return s, err
	}
	if text := v["every"]; text != "" {
		var ok bool
		if s.Every, ok = intake.ParseSpan(text); !ok || s.Every < time.Second || s.Every%time.Second != 0 {
			return s, fault("every", "counts go by whole seconds: write a span such as 5m, 24h or 7d, not %q", audit.Clean(text))
		}
	}
	since, until := s.Whole(now)
	if (until.UnixMilli()-since.UnixMilli())/s.Every.Milliseconds() > mostSpans {
		return s, fault("every", "from %s on that is more than %d spans of %s: ask for a shorter time or for longer spans",
			since.UTC().Format(time.RFC3339), mostSpans, s.Every)
	}
	return s, nil
}

// mostSpans bounds one answer of counts.
const mostSpans = 20_000

// check refuses what the scope does not know: a filter that is misspelt must not silently find everything.
func (s Scope) check(v Values) error {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		switch {
		case slices.Contains(s.takes, name):
		case name == "token":
			return fault(name, "a token never stands in a URL, where logs would keep it: send its fingerprint")
		default:
			return fault(audit.Clean(name), "there is no such parameter for %s: they are %s", s.name, strings.Join(s.takes, ", "))
		}
	}
	return nil
}

func fill(q *audit.Query, v Values, now time.Time) (err error) {
	if q.Since, err = moment(v, "since", now); err != nil {
		return err
	}
	if q.Until, err = moment(v, "until", now); err != nil {
		return err
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return fault("since", "it must lie before until: %s does not", q.Since.UTC().Format(time.RFC3339))
	}
	if q.Verdict, err = oneOf(v, "verdict", audit.Allow, audit.Deny, audit.Unavailable); err != nil {
		return err
	}
	if q.Reason, err = oneOf(v, "reason", codes()...); err != nil {
		return err
	}
	if q.Stage, err = oneOf(v, "stage", "connect", "create", "join", "recheck"); err != nil {
		return err
	}
	if q.Fingerprint, err = audit.ParseFingerprint(v["fingerprint"]); err != nil {
		return fault("fingerprint", "%s", err)
	}
	if strings.HasPrefix(q.Room, "[") && strings.HasSuffix(q.Room, "]") {
		return fault("room", "%q names a whole tenant: ask for the tenant, or for [tenant]name", audit.Clean(q.Room))
	}
	proven, err := oneOf(v, "proven", "true", "false")
	if err != nil {
		return err
	}
	q.Proven = proven == "true"
	return limit(q, v)
}

func limit(q *audit.Query, v Values) error {
	text := v["limit"]
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > audit.MaxLimit {
		return fault("limit", "a page has 1 to %d events, not %q; cursor goes on where it ended", audit.MaxLimit, audit.Clean(text))
	}
	q.Limit = n
	return nil
}

func codes() (all []reason.Code) {
	for _, i := range reason.All() {
		all = append(all, i.Code)
	}
	return all
}

func moment(v Values, name string, now time.Time) (time.Time, error) {
	t, err := intake.ParseTime(v[name], now, -1)
	if err != nil {
		return t, fault(name, "%q %s", audit.Clean(v[name]), err)
	}
	return t, nil
}

// oneOf reads a word of a closed set. None is the zero word.
func oneOf[T ~string](v Values, name string, allowed ...T) (T, error) {
	word := T(v[name])
	if word == "" || slices.Contains(allowed, word) {
		return word, nil
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	return "", fault(name, "there is no %s %q: it is one of %s", name, audit.Clean(string(word)), strings.Join(words, ", "))
}

// DecisionsAlone says that the scope leaves out events of other kinds.
func (s Scope) DecisionsAlone() bool { return !slices.Contains(s.takes, "kind") }
