package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
)

func small(now time.Time) Options {
	return Options{SliceRows: 100, Now: func() time.Time { return now }}
}

// filled is a store of n events whose slices are sealed.
func filled(t *testing.T, dir string, n int) *Store {
	t.Helper()
	s := openIn(t, dir, small(storetest.Now))
	if err := s.Append(t.Context(), storetest.Rows(storetest.Events(n))); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	return s
}

func settle(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Settle(ctx); err != nil {
		t.Fatal(err)
	}
}

func howMany(t *testing.T, s *Store, q audit.Query) int {
	t.Helper()
	q.Limit = 1000
	n := 0
	for {
		page, err := s.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Events)
		if page.Next == "" {
			return n
		}
		q.Cursor = page.Next
	}
}

func TestStore_SealedSlicesAreCompleteByThemselves(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, dir, 450)
	all, _ := s.all()
	if len(all) != 5 {
		t.Fatalf("%d slices, want 5", len(all))
	}
	for _, sl := range all[:4] {
		if _, err := os.Stat(sl.path + "-wal"); err == nil {
			t.Errorf("%s has a log", sl.path)
		}
		x, err := openIndex(sl.path + indexExt)
		if err != nil {
			t.Fatal(err)
		}
		x.file.Close()
	}
}

func TestStore_NextProcessGoesOnInTheSameSlice(t *testing.T) {
	dir := t.TempDir()
	rows := storetest.Rows(storetest.Events(330))
	for part := range 3 {
		s := openIn(t, dir, small(storetest.Now))
		last, err := s.Last(t.Context())
		if err != nil || part > 0 && last != rows[part*110-1].K {
			t.Fatalf("goes on from %d: %v", last, err)
		}
		if err := s.Append(t.Context(), rows[part*110:(part+1)*110]); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := openIn(t, dir, small(storetest.Now))
	if all, _ := s.all(); len(all) != 4 {
		t.Errorf("%d slices, want 4 of 100 rows at most", len(all))
	}
	if n := howMany(t, s, audit.Query{}); n != 330 {
		t.Errorf("%d events, want 330", n)
	}
	want := howMany(t, s, audit.Query{User: "user-4"})
	settle(t, s)
	if n := howMany(t, s, audit.Query{User: "user-4"}); n != want || n != 30 {
		t.Errorf("%d events of a user before sealing, %d after, want 30", want, n)
	}
}

func TestStore_DamagedIndexIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, dir, 250)
	all, _ := s.all()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(all[0].path+indexExt, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(all[1].path + indexExt); err != nil {
		t.Fatal(err)
	}
	s = openIn(t, dir, small(storetest.Now))
	for range 2 { // before and after
		if n := howMany(t, s, audit.Query{User: "user-4"}); n != 23 {
			t.Errorf("%d events of the user, want 23", n)
		}
		settle(t, s)
	}
}

func TestStore_OlderFilesAreBroughtForward(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 250).Close()
	q := audit.StatsQuery{Query: audit.Query{Kind: audit.Decision, Since: storetest.Now.Add(-2 * time.Hour), Until: storetest.Now}, By: "reason", Every: audit.CountSpan}
	s := openIn(t, dir, small(storetest.Now))
	want, err := s.Stats(t.Context(), q)
	if err != nil || len(want) == 0 {
		t.Fatal(want, err)
	}
	all, _ := s.all()
	s.Close()
	for _, sl := range all { // what a former version wrote
		db, err := open(sl.path, "mode=rw")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("DROP TABLE counts; PRAGMA user_version = 1"); err != nil {
			t.Fatal(err)
		}
		db.Close()
		os.Remove(sl.path + indexExt)
	}
	if _, err := Open(t.Context(), dir, Options{ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "usher serve") {
		t.Errorf("who may only read got %v", err)
	}
	s = openIn(t, dir, small(storetest.Now))
	got, err := s.Stats(t.Context(), q)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v\n got %v\nwant %v", err, got, want)
	}
	if n := howMany(t, s, audit.Query{User: "user-4"}); n != 23 {
		t.Errorf("%d events of the user, want 23", n)
	}
}

func TestStore_NewerFilesAreRefusedInASentence(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, dir, 50)
	all, _ := s.all()
	s.Close()
	db, err := open(all[0].path, "mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(fmt.Sprintf("PRAGMA user_version = %d", len(steps)+1)); err != nil {
		t.Fatal(err)
	}
	db.Close()
	_, err = Open(t.Context(), dir, Options{})
	if err == nil || !strings.Contains(err.Error(), "newer usher") || !strings.Contains(err.Error(), all[0].path) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestStore_AnotherProcessReadsAndFollows(t *testing.T) {
	dir := t.TempDir()
	rows := storetest.Rows(storetest.Events(460))
	s := openIn(t, dir, small(storetest.Now))
	if err := s.Append(t.Context(), rows[:250]); err != nil {
		t.Fatal(err)
	}
	other := openIn(t, dir, Options{ReadOnly: true})
	if n := howMany(t, other, audit.Query{}); n != 250 {
		t.Errorf("the other process sees %d events, want 250", n)
	}
	if err := other.Append(t.Context(), rows[250:]); err == nil {
		t.Error("who may only read has written")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := make(chan audit.Event, 300)
	ended := make(chan error, 1)
	go func() {
		ended <- other.Follow(ctx, audit.Query{}, func(e audit.Event) error { seen <- e; return nil })
	}()
	next := 250
	for got := 0; got == 0; next++ { // until the follower has begun
		if err := s.Append(t.Context(), rows[next:next+1]); err != nil {
			t.Fatal(err)
		}
		select {
		case <-seen:
			got++
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err := s.Append(t.Context(), rows[next:]); err != nil { // into slices that are not there yet
		t.Fatal(err)
	}
	last, err := audit.Unpack(rows[len(rows)-1].Data)
	if err != nil {
		t.Fatal(err)
	}
	for e := (audit.Event{}); e.ID != last.ID; {
		select {
		case e = <-seen:
		case <-ctx.Done():
			t.Fatal("the other process does not see the new slices")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Whoever reads on after an hour in a pager finds a hundred thousand events, which were all brought to memory.
func TestFollow_ReadsABacklogInPartsAndAllOfIt(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{})
	events := storetest.Events(2*mostFollowed + 10)
	rows := storetest.Rows(events)
	if err := s.Append(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	all, _ := s.all()
	filter := new(audit.Query).Filter()
	for after, want := range map[uint64]int{0: mostFollowed, rows[2*mostFollowed-1].K: 10} {
		part, _, more, err := all[0].read(t.Context(), filter, after)
		if err != nil || len(part) != want || more != (want == mostFollowed) {
			t.Errorf("%d events are read at once, want %d, and more says %v: %v", len(part), want, more, err)
		}
	}
	var seen int
	last, err := s.newer(t.Context(), filter, 0, func(e audit.Event) error {
		if seen < len(events) && e.ID != events[seen].ID {
			t.Fatalf("event %d is %s, want %s", seen, e.ID, events[seen].ID)
		}
		seen++
		return nil
	})
	if err != nil || seen != len(events) || last != rows[len(rows)-1].K {
		t.Errorf("%d events of %d are seen: %v", seen, len(events), err)
	}
}

// TestStore_SameHashIsNotSameUser finds two users with one hash: the row that an index points to is checked.
func TestStore_SameHashIsNotSameUser(t *testing.T) {
	s := openIn(t, t.TempDir(), small(storetest.Now))
	at := storetest.Now.Add(-time.Hour)
	first := audit.Event{Time: at, ID: audit.NewID(at), Kind: audit.Decision, Verdict: audit.Allow, UserID: "user-0"}
	if err := s.Append(t.Context(), storetest.Rows([]audit.Event{first})); err != nil {
		t.Fatal(err)
	}
	all, _ := s.all()
	hasher := all[0].terms.Load().hasher
	met := map[uint32]string{}
	var one, two string
	for n := 0; two == ""; n++ {
		user := fmt.Sprintf("user-%d", n)
		_, hash := hasher.Search(&audit.Query{User: user})
		if one = met[hash[0]]; one != "" {
			two = user
		}
		met[hash[0]] = user
	}
	var events []audit.Event
	for i, user := range []string{one, two} {
		e := first
		e.Time = storetest.Now.Add(time.Duration(i) * time.Second)
		e.ID, e.UserID = audit.NewID(e.Time), user
		events = append(events, e)
	}
	if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{one, two} {
		page, err := s.Query(t.Context(), audit.Query{User: user, Limit: 10})
		if err != nil || len(page.Events) < 1 || page.Events[0].UserID != user || howMany(t, s, audit.Query{User: user}) > 2 {
			t.Errorf("%s finds %+v: %v", user, page.Events, err)
		}
		for _, e := range page.Events {
			if e.UserID != user {
				t.Errorf("%s finds a row of %s", user, e.UserID)
			}
		}
	}
}

func TestStore_GoodEndLeavesTheTermsForTheNextProcess(t *testing.T) {
	dir := t.TempDir()
	rows := storetest.Rows(storetest.Events(160))
	s := openIn(t, dir, small(storetest.Now))
	if err := s.Append(t.Context(), rows[:150]); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other := openIn(t, dir, Options{ReadOnly: true})
	if n := howMany(t, other, audit.Query{User: "user-4"}); n != 14 {
		t.Errorf("who reads while nobody writes finds %d events, want 14", n)
	}
	s = openIn(t, dir, small(storetest.Now))
	if err := s.Append(t.Context(), rows[150:]); err != nil {
		t.Fatal(err)
	}
	all, _ := s.all()
	newest := all[len(all)-1]
	if held := newest.terms.Load(); held == nil || len(held.keys) != 60 {
		t.Error("the terms were not taken up")
	}
	if _, err := os.Stat(newest.path + indexExt); err == nil {
		t.Error("an index that is no longer true is still there")
	}
	for _, store := range []*Store{s, openIn(t, dir, Options{ReadOnly: true})} {
		if n := howMany(t, store, audit.Query{User: "user-4"}); n != 15 {
			t.Errorf("%d events, want 15", n)
		}
	}
}

func TestStore_CrashCostsTheTermsOnlyUntilTheyAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	rows := storetest.Rows(storetest.Events(80))
	s := openIn(t, dir, small(storetest.Now))
	if err := s.Append(t.Context(), rows[:70]); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	all, _ := s.all()
	if err := os.Remove(all[0].path + indexExt); err != nil { // a crash would not have left it
		t.Fatal(err)
	}
	s = openIn(t, dir, small(storetest.Now))
	if err := s.Append(t.Context(), rows[70:]); err != nil {
		t.Fatal(err)
	}
	if err := s.recall(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, _ = s.all()
	if held := all[0].terms.Load(); held == nil || len(held.keys) != 80 {
		t.Error("the terms were not read again")
	}
	if n := howMany(t, s, audit.Query{User: "user-4"}); n != 7 {
		t.Errorf("%d events of the user, want 7", n)
	}
}

func TestStats_SayThatTheTimeDidNotSuffice(t *testing.T) {
	s := filled(t, t.TempDir(), 250)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	q := audit.StatsQuery{Query: audit.Query{Kind: audit.Decision, Since: storetest.Now.Add(-2 * time.Hour), Until: storetest.Now}, By: "user", Every: audit.CountSpan}
	if _, err := s.Stats(ctx, q); !errors.Is(err, audit.ErrUncountable) {
		t.Error(err)
	}
}
