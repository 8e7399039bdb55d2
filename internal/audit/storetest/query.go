package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/reason"
)

func everyMember(t *testing.T, open Opener) {
	e := audit.Event{
		Time: Now.Add(-time.Minute), Kind: audit.Ejection, Proven: true, Node: "n1", Host: "h", Profile: "p", Session: "s", Stage: "recheck",
		Verdict: audit.Deny, Reason: reason.TokenRevoked, Detail: "d\u202e", Issuer: "issuer", Subject: "subject", UserID: "user", UserName: "name", UserEmail: "mail",
		Room: "room@conference", Tenant: "tenant", JTI: "jti", Kid: "kid", Alg: "ES256", Fingerprint: audit.Fingerprint{1}, RemoteIP: "2001:db8::1",
		UserAgent: "agent", LatencyUS: 1, Actor: "actor", RevocationID: "revocation", DecisionID: "decision", Outcome: "ejected",
	}
	e.ID = audit.NewID(e.Time)
	store := open(t, Now)
	put(t, store, Rows([]audit.Event{e}))
	same(t, collect(t, store, audit.Query{}), []audit.Event{e})
	got, found, err := store.Get(t.Context(), e.ID)
	if err != nil || !found || got != e {
		t.Errorf("by its id: %v %v %+v", found, err, got)
	}
	if _, found, err := store.Get(t.Context(), audit.NewID(e.Time)); found || err != nil {
		t.Errorf("an id that no event has: %v %v", found, err)
	}
	if _, found, err := store.Get(t.Context(), "nonsense"); found || err != nil {
		t.Errorf("an id that is none: %v %v", found, err)
	}
}

func setBack(t *testing.T, open Opener) {
	store, events := fill(t, open, 900)
	now := Now
	for _, back := range []time.Duration{10 * time.Minute, 2 * time.Hour, 20 * time.Hour} {
		for range 50 {
			now = now.Add(time.Second)
			e := audit.Event{Time: now.Add(-back), ID: audit.NewID(now.Add(-back)), Kind: audit.Decision, Verdict: audit.Allow, UserID: back.String()}
			events = append(events, e)
		}
	}
	put(t, store, Rows(events)[900:])
	for _, e := range events {
		if got, found, err := store.Get(t.Context(), e.ID); got != e || !found || err != nil {
			t.Fatalf("%v after the clock was set back by %s: %v %v", e.Time, e.UserID, found, err)
		}
	}
}

func pages(t *testing.T, open Opener) {
	store, events := fill(t, open, 1500)
	all := where(events, func(*audit.Event) bool { return true })
	for _, limit := range []int{1000, 64, 7} {
		q := audit.Query{Limit: limit}
		same(t, collect(t, store, q), all)
	}
	same(t, collect(t, store, audit.Query{Limit: 3, User: "user-4"}), where(events, func(e *audit.Event) bool { return e.UserID == "user-4" }))
	page, err := store.Query(t.Context(), audit.Query{Limit: 5, Verdict: audit.Deny})
	if err != nil {
		t.Fatal(err)
	}
	same(t, page.Events, where(events, func(e *audit.Event) bool { return e.Verdict == audit.Deny })[:5])
}

func filters(t *testing.T, open Opener) {
	store, events := fill(t, open, 1500)
	some := events[777]
	since, until := Now.Add(-90*time.Minute), Now.Add(-30*time.Minute)
	for name, c := range map[string]struct {
		q    audit.Query
		want func(*audit.Event) bool
	}{
		"since":       {audit.Query{Since: since}, func(e *audit.Event) bool { return !e.Time.Before(since) }},
		"until":       {audit.Query{Until: until}, func(e *audit.Event) bool { return e.Time.Before(until) }},
		"both":        {audit.Query{Since: since, Until: until}, func(e *audit.Event) bool { return !e.Time.Before(since) && e.Time.Before(until) }},
		"far since":   {audit.Query{Since: Now.AddDate(24, 0, 0)}, func(*audit.Event) bool { return false }}, // farther than keys reach
		"far until":   {audit.Query{Until: time.Date(2110, 1, 1, 0, 0, 0, 0, time.UTC)}, func(*audit.Event) bool { return true }},
		"kind":        {audit.Query{Kind: audit.Revocation}, func(e *audit.Event) bool { return e.Kind == audit.Revocation }},
		"decisions":   {audit.Query{Kind: audit.Decision}, func(e *audit.Event) bool { return e.Kind == audit.Decision }},
		"allow":       {audit.Query{Verdict: audit.Allow}, func(e *audit.Event) bool { return e.Verdict == audit.Allow }},
		"deny":        {audit.Query{Verdict: audit.Deny}, func(e *audit.Event) bool { return e.Verdict == audit.Deny }},
		"unavailable": {audit.Query{Verdict: audit.Unavailable}, func(e *audit.Event) bool { return e.Verdict == audit.Unavailable }},
		"reason":      {audit.Query{Reason: reason.RoomMismatch}, func(e *audit.Event) bool { return e.Reason == reason.RoomMismatch }},
		"reason of decisions": {audit.Query{Kind: audit.Decision, Reason: reason.KeyUnavailable},
			func(e *audit.Event) bool { return e.Reason == reason.KeyUnavailable }},
		"room":        {audit.Query{Room: some.Room}, func(e *audit.Event) bool { return e.Room == some.Room }},
		"tenant":      {audit.Query{Tenant: "tenant3"}, func(e *audit.Event) bool { return e.Tenant == "tenant3" }},
		"user":        {audit.Query{User: "user-4"}, func(e *audit.Event) bool { return e.UserID == "user-4" }},
		"issuer":      {audit.Query{Issuer: "issuer-2"}, func(e *audit.Event) bool { return e.Issuer == "issuer-2" }},
		"subject":     {audit.Query{Subject: "example.com"}, func(e *audit.Event) bool { return e.Subject == "example.com" }},
		"jti":         {audit.Query{JTI: some.JTI}, func(e *audit.Event) bool { return e.JTI == some.JTI }},
		"kid":         {audit.Query{Kid: "key-1"}, func(e *audit.Event) bool { return e.Kid == "key-1" }},
		"fingerprint": {audit.Query{Fingerprint: some.Fingerprint}, func(e *audit.Event) bool { return e.Fingerprint == some.Fingerprint }},
		"ip":          {audit.Query{RemoteIP: "::ffff:192.0.2.5"}, func(e *audit.Event) bool { return e.RemoteIP == "192.0.2.5" }},
		"host":        {audit.Query{Host: "host1.example.com"}, func(e *audit.Event) bool { return e.Host == "host1.example.com" }},
		"profile":     {audit.Query{Profile: "profile1"}, func(e *audit.Event) bool { return e.Profile == "profile1" }},
		"node":        {audit.Query{Node: "node-1"}, func(e *audit.Event) bool { return e.Node == "node-1" }},
		"session":     {audit.Query{Session: "s42"}, func(e *audit.Event) bool { return e.Session == "s42" }},
		"stage":       {audit.Query{Stage: "join"}, func(e *audit.Event) bool { return e.Stage == "join" }},
		"proven":      {audit.Query{Proven: true}, func(e *audit.Event) bool { return e.Proven }},
		"many": {audit.Query{User: "user-3", Room: "room3", Verdict: audit.Deny, Since: since},
			func(e *audit.Event) bool {
				return e.UserID == "user-3" && e.Room == "[tenant3]room3@conference.example.com" && e.Verdict == audit.Deny && !e.Time.Before(since)
			}},
		"nobody":   {audit.Query{User: "user-99"}, func(*audit.Event) bool { return false }},
		"nowhere":  {audit.Query{Host: "host9.example.com"}, func(*audit.Event) bool { return false }},
		"nonsense": {audit.Query{Kind: audit.Revocation, Verdict: audit.Deny}, func(*audit.Event) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) { same(t, collect(t, store, c.q), where(events, c.want)) })
	}
}

// refused holds that what has no verdict as a rule is found by its verdict where it has one.
func refused(t *testing.T, open Opener) {
	events := Events(400)
	for i := range events {
		switch {
		case i%40 == 5:
			events[i].Kind, events[i].Verdict, events[i].Actor, events[i].Detail = audit.Admin, audit.Deny, "unknown", "wrong credential"
		case i%40 == 15:
			events[i].Kind, events[i].Verdict = audit.Ejection, audit.Unavailable
		}
	}
	store := open(t, Now)
	put(t, store, Rows(events))
	for _, q := range []audit.Query{
		{Verdict: audit.Deny}, {Verdict: audit.Deny, Limit: 7}, {Verdict: audit.Deny, Kind: audit.Admin}, {Verdict: audit.Deny, Kind: audit.Decision},
		{Verdict: audit.Deny, RemoteIP: "192.0.2.5"}, {Verdict: audit.Deny, Node: "node-1", Since: Now.Add(-time.Hour / 2)}, {Verdict: audit.Unavailable},
	} {
		same(t, collect(t, store, q), where(events, func(e *audit.Event) bool {
			return e.Verdict == q.Verdict && (q.Kind == "" || e.Kind == q.Kind) && (q.RemoteIP == "" || e.RemoteIP == q.RemoteIP) && !e.Time.Before(q.Since)
		}))
	}
}

// nameless holds that an event without a user or an address is nobody's, whatever else leads the search to it.
func nameless(t *testing.T, open Opener) {
	events := Events(60)
	for i := range events {
		if i%3 == 0 {
			events[i].UserID = ""
		}
		if i%3 == 1 {
			events[i].RemoteIP = ""
		}
		events[i].JTI, events[i].Room = "one", "one@conference.example.com"
	}
	store := open(t, Now)
	put(t, store, Rows(events))
	for _, q := range []audit.Query{
		{User: "user-4"}, {User: "user-4", JTI: "one"}, {RemoteIP: "192.0.2.5", JTI: "one"}, {RemoteIP: "192.0.2.5", Room: "one"}, {RemoteIP: "192.0.2.5", User: "user-5"},
	} {
		same(t, collect(t, store, q), where(events, func(e *audit.Event) bool {
			return (q.User == "" || e.UserID == q.User) && (q.RemoteIP == "" || e.RemoteIP == q.RemoteIP)
		}))
	}
}

func rooms(t *testing.T, open Opener) {
	var events []audit.Event
	for i, room := range []string{"[acme]standup@conference.example.com", "standup@conference.example.com", "caf%c3%a9@conference.example.com", "other@conference.example.com", "a[b@conference.example.com", "strasse@conference.example.com", "stra%c3%9fe@conference.example.com"} {
		at := Now.Add(time.Duration(i-10) * time.Second)
		events = append(events, audit.Event{Time: at, ID: audit.NewID(at), Kind: audit.Decision, Verdict: audit.Allow, Room: room})
	}
	store := open(t, Now)
	put(t, store, Rows(events))
	for asked, want := range map[string]int{
		"standup": 2, "StandUp": 2, "[acme]standup@conference.example.com": 1, "standup@conference.example.com": 1,
		"café": 1, "caf%C3%A9": 1, "CAFÉ": 1, "stand": 0, "standup@elsewhere": 0,
		"[acme]standup": 1, "[ACME]StandUp": 1, "[globex]standup": 0, "a[b": 1,
		"cafe\u0301": 1, "CAFE\u0301": 1, "cafe\u0301@conference.example.com": 1, "[acme]ｓｔａｎｄｕｐ": 1, "Straße": 2,
	} {
		if got := collect(t, store, audit.Query{Room: asked}); len(got) != want {
			t.Errorf("%s finds %d events, want %d", asked, len(got), want)
		}
	}
}

func again(t *testing.T, open Opener) {
	store, events := fill(t, open, 300)
	rows := Rows(events)
	last, err := store.Last(t.Context())
	if err != nil || last != rows[len(rows)-1].K {
		t.Fatalf("the last key is %d (%v), want %d", last, err, rows[len(rows)-1].K)
	}
	more := Events(400)[300:]
	for i := range more {
		more[i].Time = Now.Add(time.Duration(i) * time.Second)
	}
	rows = append(rows, Rows(more)...)
	if err := store.Append(t.Context(), rows[250:]); err != nil { // half of it is there already
		t.Fatal(err)
	}
	if err := store.Append(t.Context(), rows[:300]); err != nil {
		t.Fatal(err)
	}
	same(t, collect(t, store, audit.Query{}), where(append(events, more...), func(*audit.Event) bool { return true }))
	counts, err := store.Stats(t.Context(), audit.StatsQuery{Query: audit.Query{Since: Now.Add(-24 * time.Hour), Until: Now.Add(time.Hour)}, By: "reason", Every: time.Hour})
	var total int64
	for _, c := range counts {
		total += c.Count
	}
	decisions := len(where(append(events, more...), func(e *audit.Event) bool { return e.Kind == audit.Decision }))
	if err != nil || total != int64(decisions) {
		t.Errorf("%d are counted, want %d: %v", total, decisions, err)
	}
}

func damaged(t *testing.T, open Opener) {
	events := Events(5)
	rows := Rows(events)
	rows[2].Data = []byte("\x01damaged")
	store := open(t, Now)
	put(t, store, rows)
	same(t, collect(t, store, audit.Query{}), where(append(events[:2:2], events[3:]...), func(*audit.Event) bool { return true }))
}

func cursor(t *testing.T, open Opener) {
	store, _ := fill(t, open, 3)
	for _, c := range []string{"!", "-1", "zzzzzzzzzzzzzzzzzzzz", "../x"} {
		if _, err := store.Query(t.Context(), audit.Query{Limit: 1, Cursor: c}); !errors.Is(err, audit.ErrCursor) {
			t.Errorf("%q gave %v", c, err)
		}
	}
}

func empty(t *testing.T, open Opener) {
	store := open(t, Now)
	same(t, collect(t, store, audit.Query{}), nil)
	if last, err := store.Last(t.Context()); last != 0 || err != nil {
		t.Errorf("the last key of an empty store is %d: %v", last, err)
	}
	if err := store.Append(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if n, err := store.Erase(t.Context(), "nobody"); n != 0 || err != nil {
		t.Errorf("erased %d: %v", n, err)
	}
	counts, err := store.Stats(t.Context(), audit.StatsQuery{Query: audit.Query{Since: Now.Add(-time.Hour), Until: Now}, By: "reason", Every: audit.CountSpan})
	if err != nil || len(counts) != 0 {
		t.Errorf("%v: %v", counts, err)
	}
}
