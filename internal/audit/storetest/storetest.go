// Package storetest is what every audit store must do. Whatever holds for Redis holds for SQLite.
package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/reason"
)

// Opener opens a new, empty store whose clock says now. The store is closed by the opener's own cleanup.
type Opener func(t *testing.T, now time.Time) audit.Store

// Run holds a store against the contract.
func Run(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Opener)
	}{
		{"EveryMemberComesBack", everyMember},
		{"IDsAreFoundAfterTheClockWasSetBack", setBack},
		{"CountsGoOnAfterTheClockWasSetBack", countedSetBack},
		{"PagesGoNewestFirstAndMeetEveryEventOnce", pages},
		{"EveryFilterFindsWhatItNames", filters},
		{"VerdictsOfEveryKindAreFound", refused},
		{"EventsWithoutUserOrAddressAreNobodys", nameless},
		{"RoomsAreFoundByJIDAndByName", rooms},
		{"RowsSentAgainAreStoredOnce", again},
		{"DamagedRowHarmsNoOther", damaged},
		{"CountsAreRight", stats},
		{"UnprovenCountsAgainstNobody", unproven},
		{"FollowersSeeWhatComes", follow},
		{"ErasedUsersAreGone", erase},
		{"PseudonymsAreFoundByValue", pseudonyms},
		{"BadCursorIsRefused", cursor},
		{"EmptyStoreAnswers", empty},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

// Now is the moment that the contract's stores believe in.
var Now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// Events makes n events that end at Now, one each ten seconds, with values that repeat at different paces.
func Events(n int) []audit.Event {
	var all []audit.Event
	stages := []string{"connect", "join", "create", "recheck"}
	for i := range n {
		at := Now.Add(time.Duration(i-n) * 10 * time.Second).Add(time.Duration(i%7) * 100 * time.Millisecond)
		e := audit.Event{
			Time: at, ID: audit.NewID(at), Kind: audit.Decision, Verdict: audit.Allow, Proven: true,
			Node: "node-1", Host: fmt.Sprintf("host%d.example.com", i%2), Profile: fmt.Sprintf("profile%d", i%2), Session: fmt.Sprintf("s%d", i),
			Stage: stages[i%4], Issuer: fmt.Sprintf("issuer-%d", i%3), Subject: "example.com", UserID: fmt.Sprintf("user-%d", i%11),
			Room: fmt.Sprintf("[tenant%d]room%d@conference.example.com", i%13%5, i%13), Tenant: fmt.Sprintf("tenant%d", i%13%5),
			JTI: fmt.Sprintf("jti-%d", i/2), Kid: fmt.Sprintf("key-%d", i%3), Alg: "RS256", Fingerprint: audit.Fingerprint{byte(i), byte(i >> 8), 7},
			RemoteIP: fmt.Sprintf("192.0.2.%d", i%17), UserAgent: "Mozilla/5.0 (X11; Linux x86_64)", LatencyUS: int64(i),
		}
		switch {
		case i%10 == 3:
			e.Verdict, e.Reason, e.Detail = audit.Deny, reason.RoomMismatch, "another room"
		case i%10 == 7:
			e.Verdict, e.Reason, e.Proven = audit.Deny, reason.SignatureInvalid, false
		case i%50 == 9:
			e.Verdict, e.Reason = audit.Unavailable, reason.KeyUnavailable
		case i%50 == 19:
			e = audit.Event{Time: at, ID: e.ID, Kind: audit.Revocation, Actor: "cred:soc", RevocationID: fmt.Sprint(i), UserID: e.UserID, Issuer: e.Issuer}
		}
		all = append(all, e)
	}
	return all
}

// Rows packs events the way a pipeline does.
func Rows(events []audit.Event) []audit.Row {
	var rows []audit.Row
	var last uint64
	for i := range events {
		last = max(last+1, audit.FirstK(events[i].Time))
		rows = append(rows, audit.Row{K: last, Data: audit.Pack(nil, &events[i])})
	}
	return rows
}

// fill opens a store with n events in it.
func fill(t *testing.T, open Opener, n int) (audit.Store, []audit.Event) {
	t.Helper()
	events := Events(n)
	store := open(t, Now)
	put(t, store, Rows(events))
	return store, events
}

// put appends rows in batches.
func put(t *testing.T, store audit.Store, rows []audit.Row) {
	t.Helper()
	for batch := range slices.Chunk(rows, 37) {
		if err := store.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

// collect pages through everything that a query finds.
func collect(t *testing.T, store audit.Store, q audit.Query) []audit.Event {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	var all []audit.Event
	for {
		page, err := store.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Events) > q.Limit {
			t.Fatalf("a page of %d events, asked for %d", len(page.Events), q.Limit)
		}
		all = append(all, page.Events...)
		if page.Next == "" {
			return all
		}
		q.Cursor = page.Next
	}
}

// where gives the events that satisfy f, newest first.
func where(events []audit.Event, f func(*audit.Event) bool) []audit.Event {
	var out []audit.Event
	for i := len(events) - 1; i >= 0; i-- {
		if f(&events[i]) {
			out = append(out, events[i])
		}
	}
	return out
}

func same(t *testing.T, got, want []audit.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d events, want %d", len(got), len(want))
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("event %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

// settled runs f until it is content or ten seconds have passed: for what a store does after it has answered.
func settled(t *testing.T, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-tick.C:
		}
	}
}
