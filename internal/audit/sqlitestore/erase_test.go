package sqlitestore

import (
	"fmt"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
)

// allowed is the events of some people, one a second, the last a second before storetest.Now.
func allowed(n int, who func(i int) (user, subject string)) []audit.Event {
	events := make([]audit.Event, n)
	for i := range events {
		at := storetest.Now.Add(time.Duration(i-n) * time.Second)
		events[i] = audit.Event{Time: at, ID: audit.NewID(at), Kind: audit.Decision, Verdict: audit.Allow, Proven: true, Host: "example.com"}
		events[i].UserID, events[i].Subject = who(i)
	}
	return events
}

func TestErase_LeavesTheSubjectThatOthersHave(t *testing.T) {
	events := allowed(6, func(i int) (string, string) {
		if i == 2 {
			return "meet.example.com", "meet.example.com" // somebody is called like the domain that all tokens name
		}
		return "bob", "meet.example.com"
	})
	for name, rows := range map[string]int{"in the newest slice": 100, "in a sealed slice": 5} {
		t.Run(name, func(t *testing.T) {
			s := openIn(t, t.TempDir(), Options{SliceRows: rows, Now: func() time.Time { return storetest.Now }})
			if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
				t.Fatal(err)
			}
			settle(t, s)
			if n, err := s.Erase(t.Context(), "meet.example.com"); n != 1 || err != nil {
				t.Fatalf("erased %d: %v", n, err)
			}
			for range 2 { // before and after the index is made again
				for _, q := range []audit.Query{{}, {User: "bob"}, {Subject: "meet.example.com"}} {
					if n := howMany(t, s, q); n != 5 {
						t.Errorf("%d events of others for %+v, want 5", n, q)
					}
				}
				settle(t, s)
			}
		})
	}
}

func TestErase_GivesNoNumberToAnotherText(t *testing.T) {
	s := openIn(t, t.TempDir(), small(storetest.Now))
	events := allowed(4, func(i int) (string, string) {
		return []string{"alice", "", "carol", "dave"}[i], []string{"alice", "alice", "carol", "dave"}[i] // the second has claims, but no user id
	})
	rows := storetest.Rows(events)
	if err := s.Append(t.Context(), rows[:2]); err != nil {
		t.Fatal(err)
	}
	for n, erase := range []string{"alice", "carol"} {
		if gone, err := s.Erase(t.Context(), erase); gone != 1 || err != nil {
			t.Fatalf("erased %d of %s: %v", gone, erase, err)
		}
		if err := s.Append(t.Context(), rows[2+n:3+n]); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.Query(t.Context(), audit.Query{Limit: 10})
	if err != nil || len(page.Events) != 2 || page.Events[0] != events[3] || page.Events[1] != events[1] {
		t.Errorf("%v, left are %+v", err, page.Events)
	}
}

func TestErase_FullDictStaysFull(t *testing.T) {
	n := mostCoded(audit.TagSubject) + 10
	s := openIn(t, t.TempDir(), Options{SliceRows: n, Now: func() time.Time { return storetest.Now }})
	events := allowed(n+1, func(i int) (string, string) { return fmt.Sprintf("person-%d", i), fmt.Sprintf("person-%d", i) })
	if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	if n, err := s.Erase(t.Context(), "person-5"); n != 1 || err != nil {
		t.Fatalf("erased %d: %v", n, err)
	}
	settle(t, s)
	last := fmt.Sprintf("person-%d", n-1) // stands in its row, since dict had no place left
	if n := howMany(t, s, audit.Query{Subject: last}); n != 1 {
		t.Errorf("%d events of the subject that dict does not have, want 1", n)
	}
}
