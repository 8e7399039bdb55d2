package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/reason"
)

func stats(t *testing.T, open Opener) {
	store, events := fill(t, open, 1500)
	since, until := Now.Add(-2*time.Hour), Now.Add(-30*time.Minute)
	for _, by := range []string{"reason", "issuer", "room", "user", "ip"} {
		for _, every := range []time.Duration{time.Minute, 5 * time.Minute, time.Hour / 2} {
			for _, verdict := range []audit.Verdict{"", audit.Deny} {
				q := audit.StatsQuery{Query: audit.Query{Kind: audit.Decision, Since: since, Until: until, Verdict: verdict}, By: by, Every: every}
				got, err := store.Stats(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				if want := naive(events, q); !maps.Equal(tableOf(got), want) {
					t.Errorf("by %s every %v, verdict %q: %d counts, want %d, or others", by, every, verdict, len(got), len(want))
				}
			}
		}
	}
}

// naive counts by hand.
func naive(events []audit.Event, q audit.StatsQuery) map[string]int64 {
	out := map[string]int64{}
	for _, e := range events {
		if e.Kind != audit.Decision || e.Time.Before(q.Since) || !e.Time.Before(q.Until) || q.Verdict != "" && e.Verdict != q.Verdict {
			continue
		}
		var key string
		switch q.By {
		case "reason":
			key = string(e.Reason)
			if e.Verdict == audit.Allow {
				key = "allowed"
			}
		case "room":
			key = e.Room
		case "ip":
			key = e.RemoteIP
		case "issuer":
			key = e.Issuer
		case "user":
			key = e.UserID
		}
		if (q.By == "issuer" || q.By == "user") && !e.Proven {
			key = audit.Unproven
		}
		out[fmt.Sprint(e.Time.Truncate(q.Every).Unix(), " ", key)]++
	}
	return out
}

func tableOf(counts []audit.Count) map[string]int64 {
	out := map[string]int64{}
	for _, c := range counts {
		out[fmt.Sprint(c.Time.Unix(), " ", c.Key)] += c.Count
	}
	return out
}

func unproven(t *testing.T, open Opener) {
	at := Now.Add(-time.Minute)
	var events []audit.Event
	for range 20 {
		events = append(events, audit.Event{
			Time: at, ID: audit.NewID(at), Kind: audit.Decision, Verdict: audit.Deny, Reason: reason.SignatureInvalid, Issuer: "bank", UserID: "victim", RemoteIP: "192.0.2.66",
		})
	}
	store := open(t, Now)
	put(t, store, Rows(events))
	for _, by := range []string{"issuer", "user"} {
		counts, err := store.Stats(t.Context(), audit.StatsQuery{Query: audit.Query{Since: Now.Add(-time.Hour), Until: Now}, By: by, Every: audit.CountSpan})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range counts {
			if c.Key != audit.Unproven {
				t.Errorf("a forger's word counts against %s: %d", c.Key, c.Count)
			}
		}
	}
	if got := collect(t, store, audit.Query{User: "victim"}); len(got) != 20 {
		t.Errorf("%d events claim to be of the user, want 20", len(got))
	}
	if got := collect(t, store, audit.Query{User: "victim", Proven: true}); len(got) != 0 {
		t.Errorf("%d events are proven, want none", len(got))
	}
}

func follow(t *testing.T, open Opener) {
	store, _ := fill(t, open, 20)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	later := Events(300)
	for i := range later {
		later[i].Time = Now.Add(time.Duration(i) * time.Second)
		later[i].ID = audit.NewID(later[i].Time)
	}
	seen := make(chan audit.Event, len(later))
	ended := make(chan error, 1)
	began := make(chan struct{})
	go func() {
		close(began)
		ended <- store.Follow(ctx, audit.Query{Verdict: audit.Deny}, func(e audit.Event) error {
			seen <- e
			return nil
		})
	}()
	<-began
	// The follower takes what comes after it has begun, which no event tells: events are sent until one arrives.
	rows := Rows(later)
	first := -1
	settled(t, func() error {
		if len(rows) > 250 {
			put(t, store, rows[:1])
			rows = rows[1:]
		}
		select {
		case e := <-seen:
			for i := range later {
				if later[i] == e {
					first = i
				}
			}
			return nil
		default:
			return errors.New("the follower sees nothing")
		}
	})
	put(t, store, rows)
	if first < 0 {
		t.Fatal("the follower saw an event that nobody sent")
	}
	for _, want := range later[first+1:] {
		if want.Verdict != audit.Deny {
			continue
		}
		select {
		case got := <-seen:
			if got != want {
				t.Fatalf("got %+v\nwant %+v", got, want)
			}
		case <-ctx.Done():
			t.Fatal("the follower missed events")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// Also where it ends in the middle of a look.
	if err := store.Follow(ctx, audit.Query{}, func(audit.Event) error { return nil }); err != nil {
		t.Error(err)
	}
	failing := errors.New("enough")
	again, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	go func() { ended <- store.Follow(again, audit.Query{}, func(audit.Event) error { return failing }) }()
	more := Events(200)
	settled(t, func() error {
		last, err := store.Last(t.Context())
		if err != nil {
			return err
		}
		more[0].Time = time.UnixMilli(audit.MillisOf(last) + 1)
		put(t, store, Rows(more[:1]))
		select {
		case err := <-ended:
			if !errors.Is(err, failing) {
				t.Errorf("a follower that had enough ended with %v", err)
			}
			return nil
		default:
			return errors.New("the follower does not end")
		}
	})
}

func erase(t *testing.T, open Opener) {
	store, events := fill(t, open, 700)
	for i := range events {
		if events[i].UserID == "user-5" {
			events[i].Subject = "user-5" // not in the store: only what is left is compared
		}
	}
	left := where(events, func(e *audit.Event) bool { return e.UserID != "user-5" })
	n, err := store.Erase(t.Context(), "user-5")
	if err != nil || n != int64(len(events)-len(left)) {
		t.Errorf("erased %d (%v), want %d", n, err, len(events)-len(left))
	}
	same(t, collect(t, store, audit.Query{User: "user-5"}), nil)
	same(t, collect(t, store, audit.Query{}), left)
	same(t, collect(t, store, audit.Query{User: "user-6"}), where(events, func(e *audit.Event) bool { return e.UserID == "user-6" }))
	at := Now.Add(time.Hour)
	e := audit.Event{Time: at, ID: audit.NewID(at), Kind: audit.Decision, Verdict: audit.Allow, UserID: "user-5", Host: "newly-met.example.com"}
	put(t, store, Rows([]audit.Event{e}))
	same(t, collect(t, store, audit.Query{User: "user-5"}), []audit.Event{e})
}

func pseudonyms(t *testing.T, open Opener) {
	hide := audit.NewPseudonyms([]byte("a key of this test's own making"))
	at := Now.Add(-time.Minute)
	plain := audit.Event{Time: at, ID: audit.NewID(at), Kind: audit.Decision, Verdict: audit.Allow, UserID: "ada", RemoteIP: "192.0.2.9"}
	hidden := plain
	hidden.ID, hidden.UserID, hidden.RemoteIP = audit.NewID(at), hide.User("ada"), hide.Address("192.0.2.9")
	store := open(t, Now)
	put(t, store, Rows([]audit.Event{plain, hidden}))
	reader := audit.NewReader(store, hide)
	for name, c := range map[string]struct {
		q    audit.Query
		want int
	}{
		"user":      {audit.Query{User: "ada"}, 2},
		"address":   {audit.Query{RemoteIP: "192.0.2.9"}, 2},
		"pseudonym": {audit.Query{User: hidden.UserID}, 1},
		"another":   {audit.Query{User: "bob"}, 0},
	} {
		page, err := reader.Query(t.Context(), c.q)
		if err != nil || len(page.Events) != c.want {
			t.Errorf("%s finds %d events, want %d: %v", name, len(page.Events), c.want, err)
		}
	}
	if n, err := reader.Erase(t.Context(), "ada"); n != 2 || err != nil {
		t.Errorf("erased %d of 2: %v", n, err)
	}
}

func countedSetBack(t *testing.T, open Opener) {
	store := open(t, time.Now())
	e := Events(1)[0]
	e.Time = time.Now().Add(-time.Minute)
	put(t, store, []audit.Row{{K: audit.FirstK(e.Time.Add(3 * time.Hour)), Data: audit.Pack(nil, &e)}})
	for _, by := range []string{"reason", "room"} {
		counts, err := audit.NewReader(store, nil).Stats(t.Context(), audit.StatsQuery{By: by})
		if err != nil || len(counts) != 1 || counts[0].Count != 1 {
			t.Errorf("by %s: %v %v", by, counts, err)
		}
	}
}
