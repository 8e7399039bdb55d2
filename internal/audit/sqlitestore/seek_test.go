package sqlitestore

import (
	"context"
	"fmt"
	"testing"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
)

// rareAndFrequent are events of users whom many slices have, a few, one, or none.
func rareAndFrequent(n int) []audit.Event {
	events := storetest.Events(n)
	for i := range events {
		switch {
		case i%97 == 0:
			events[i].UserID = "rare"
		case i%3 == 0:
			events[i].UserID = "frequent"
		case i == 40:
			events[i].UserID = "once"
		default:
			events[i].UserID = fmt.Sprintf("user-%d", i)
		}
	}
	return events
}

// idsOf gives the ids of a user's events, newest first, as pages of so many give them.
func idsOf(t *testing.T, s *Store, user string, limit int) []string {
	t.Helper()
	var ids []string
	q := audit.Query{User: user, Limit: limit}
	for {
		page, err := s.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			ids = append(ids, e.ID)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return ids
		}
	}
}

func TestSeek_PagesOverManySlicesMissNothingAndRepeatNothing(t *testing.T) {
	dir := t.TempDir()
	events := rareAndFrequent(3010)
	writer := openIn(t, dir, Options{SliceRows: 20}) // 150 slices, and one that is not full
	if err := writer.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	settle(t, writer)
	beside := openIn(t, dir, Options{ReadOnly: true})
	for name, s := range map[string]*Store{"the process that writes": writer, "a process beside it": beside} {
		for _, user := range []string{"rare", "frequent", "once", "user-1", "user-3009", "nobody"} {
			var want []string
			for i := range events {
				if e := &events[len(events)-1-i]; e.UserID == user {
					want = append(want, e.ID)
				}
			}
			for _, limit := range []int{7, 100, 1000} {
				got := idsOf(t, s, user, limit)
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s, %s in pages of %d: %d events, want %d in their order", name, user, limit, len(got), len(want))
				}
			}
		}
	}
}

func TestSeek_OthersAreFoundWhileOneIsErased(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{SliceRows: 50})
	events := rareAndFrequent(1500)
	if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	want := howMany(t, s, audit.Query{User: "rare"})
	ctx, cancel := context.WithCancel(t.Context())
	erased := make(chan error, 1)
	go func() { // each time the slices get another index, with other numbers for the rows
		defer cancel()
		for i := 1; i < 500; i += 50 {
			if _, err := s.Erase(context.WithoutCancel(ctx), fmt.Sprintf("user-%d", i)); err != nil {
				erased <- err
				return
			}
		}
		erased <- nil
	}()
	for ctx.Err() == nil {
		if got := howMany(t, s, audit.Query{User: "rare"}); got != want {
			t.Errorf("%d events of another user are found while one is erased, want %d", got, want)
			break
		}
	}
	if err := <-erased; err != nil {
		t.Error(err)
	}
}

func TestSeek_OpensNoDatabaseWhereTheTermIsNot(t *testing.T) {
	dir := t.TempDir()
	events := rareAndFrequent(1000)
	s := openIn(t, dir, Options{SliceRows: 20})
	if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	idsOf(t, s, "once", 100)
	all, _ := s.all()
	open := 0
	for _, sl := range all {
		if sl.pages != nil || sl.reader != nil {
			open++
		}
	}
	if open != 1 || all[2].pages == nil {
		t.Errorf("%d of %d slices were opened for an event that the third has", open, len(all))
	}
}
