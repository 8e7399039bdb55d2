package sqlitestore

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
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

// marked is events of which the user "findme" has every seventh, with the word in every text.
func marked(n int) (events []audit.Event, theirs int) {
	events = storetest.Events(n)
	for i := range events {
		if i%7 != 3 {
			continue
		}
		theirs++
		e := &events[i]
		e.Kind, e.Verdict, e.UserID = audit.Decision, audit.Allow, "findme"
		for _, text := range []*string{&e.Subject, &e.UserName, &e.UserEmail, &e.Tenant, &e.Room, &e.Kid, &e.UserAgent, &e.Host, &e.Detail} {
			*text = fmt.Sprintf("findme %d %s", i%5, strings.Repeat("x", i%90))
		}
		e.JTI, e.Session = fmt.Sprintf("findme %d", i), fmt.Sprintf("findme %d", i)
	}
	return events, theirs
}

// bytesOf counts a word in all files of a folder.
func bytesOf(t *testing.T, dir, word string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(b, []byte(word))
	}
	return n
}

func TestErase_LeavesNoByteOfTheUserAndAllOfOthers(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{SliceRows: 4000, Now: func() time.Time { return storetest.Now }})
	events, theirs := marked(10_000) // two sealed slices and the newest
	for rows := range slices.Chunk(storetest.Rows(events), 500) {
		if err := s.Append(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, s)
	if bytesOf(t, dir, "findme") == 0 {
		t.Fatal("the user is nowhere, so that this test shows nothing")
	}
	if n, err := s.Erase(t.Context(), "findme"); n != int64(theirs) || err != nil {
		t.Fatalf("erased %d of %d: %v", n, theirs, err)
	}
	if n := bytesOf(t, dir, "findme"); n > 0 {
		t.Errorf("the user is still there %d times", n)
	}
	settle(t, s)
	left := slices.DeleteFunc(events, func(e audit.Event) bool { return e.UserID == "findme" })
	slices.Reverse(left)
	for q := (audit.Query{Limit: 1000}); ; {
		page, err := s.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Events) > len(left) || !slices.Equal(page.Events, left[:len(page.Events)]) {
			t.Fatal("the events of others are not what they were")
		}
		left = left[len(page.Events):]
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if len(left) > 0 {
		t.Errorf("%d events of others are gone", len(left))
	}
}

// readBeside reads a file as another process may, which is not through until what comes back is closed.
func readBeside(t *testing.T, path string) *sql.Rows {
	t.Helper()
	other, err := open(path, "mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	reading, err := other.QueryContext(t.Context(), "SELECT k FROM rows")
	if err != nil || !reading.Next() {
		t.Fatalf("nothing can be read: %v", err)
	}
	t.Cleanup(func() { reading.Close() })
	return reading
}

func TestErase_FailsWhileAnotherProcessKeepsTheBytesAndSucceedsAfterwards(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir, Options{Now: func() time.Time { return storetest.Now }})
	events, _ := marked(500)
	if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	reading := readBeside(t, s.slices[0].path)
	if _, err := s.Erase(t.Context(), "findme"); err == nil || !strings.Contains(err.Error(), "another process reads the file") {
		t.Errorf("the erasure ends with %v", err)
	}
	if err := reading.Close(); err != nil {
		t.Fatal(err)
	}
	later := events[3] // with the texts that nobody had any more
	later.Time, later.ID, later.UserID = storetest.Now, audit.NewID(storetest.Now), "bob"
	if err := s.Append(t.Context(), storetest.Rows([]audit.Event{later})); err != nil {
		t.Fatal(err)
	}
	if page, err := s.Query(t.Context(), audit.Query{User: "bob", Limit: 1}); err != nil || len(page.Events) != 1 || page.Events[0] != later {
		t.Errorf("of what came after it is found %+v: %v", page.Events, err)
	}
	if n, err := s.Erase(t.Context(), "bob"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := s.Erase(t.Context(), "findme"); err != nil {
		t.Fatal(err)
	}
	if n := bytesOf(t, dir, "findme"); n > 0 {
		t.Errorf("the user is still there %d times", n)
	}
}

func TestErase_OneThatAKillBrokeOffIsFinishedByTheNextProcess(t *testing.T) {
	dir := t.TempDir()
	opt := Options{SliceRows: 3000, Now: func() time.Time { return storetest.Now }}
	s := openIn(t, dir, opt)
	events, _ := marked(5000) // a sealed slice and the newest
	for rows := range slices.Chunk(storetest.Rows(events), 500) {
		if err := s.Append(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, s)
	all, _ := s.all()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, sl := range all { // what is done up to there
		keys, err := sl.of(t.Context(), "findme")
		if err != nil || len(keys) == 0 {
			t.Fatalf("the user has %d rows: %v", len(keys), err)
		}
		db, err := open(sl.path, "mode=rw", "secure_delete(1)")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(deleteRows(t.Context(), db, keys), db.Close(), sl.shut(), os.Remove(sl.path+indexExt)); err != nil {
			t.Fatal(err)
		}
	}
	if bytesOf(t, dir, "findme") == 0 {
		t.Fatal("no byte is left, so that this test shows nothing")
	}
	s = openIn(t, dir, opt)
	if n, err := s.Erase(t.Context(), "findme"); n != 0 || err != nil {
		t.Fatalf("erased %d: %v", n, err)
	}
	settle(t, s)
	if n := bytesOf(t, dir, "findme"); n > 0 {
		t.Errorf("the user is still there %d times", n)
	}
	if n := howMany(t, s, audit.Query{User: "user-5"}); n != len(slices.DeleteFunc(events, func(e audit.Event) bool { return e.UserID != "user-5" })) {
		t.Errorf("%d events of another are left", n)
	}
}

func TestErase_OneThatFailsTakesNothingAndMayBeRepeated(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{Now: func() time.Time { return storetest.Now }})
	events, theirs := marked(500)
	if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	db, err := open(s.slices[0].path, "mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TRIGGER held BEFORE DELETE ON rows BEGIN SELECT raise(ABORT, 'held'); END"); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Erase(t.Context(), "findme"); n != 0 || err == nil || !strings.Contains(err.Error(), "held") {
		t.Errorf("erased %d: %v", n, err)
	}
	if n := howMany(t, s, audit.Query{User: "findme"}); n != theirs {
		t.Errorf("%d events of %d are found where none was erased", n, theirs)
	}
	if _, err := db.Exec("DROP TRIGGER held"); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Erase(t.Context(), "findme"); n != int64(theirs) || err != nil {
		t.Errorf("erased %d of %d: %v", n, theirs, err)
	}
}

func TestSeal_WritesNoFileAnewFromWhichNothingWasErased(t *testing.T) {
	dir := t.TempDir()
	events := storetest.Events(101)
	for _, part := range [][]audit.Event{events[:50], events[50:]} { // with a start in between
		s := openIn(t, dir, small(storetest.Now))
		if err := s.Append(t.Context(), storetest.Rows(part)); err != nil {
			t.Fatal(err)
		}
		settle(t, s)
		all, _ := s.all()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if len(part) == 50 {
			continue
		}
		db, err := open(all[0].path, "mode=ro")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var made, changed int // what is made changes the schema once each, VACUUM once more
		if err := db.QueryRow("SELECT (SELECT count(*) FROM sqlite_schema WHERE sql != ''), (SELECT schema_version FROM pragma_schema_version)").Scan(&made, &changed); err != nil {
			t.Fatal(err)
		}
		if !all[0].sealed.Load() || made != changed {
			t.Errorf("the schema was changed %d times for %d tables and indexes", changed, made)
		}
	}
}

func TestErase_LetsEventsInWhileItIsInAFileThatIsFull(t *testing.T) {
	s := filled(t, t.TempDir(), 150)
	reading := readBeside(t, s.slices[0].path)
	erased := make(chan error, 1)
	go func() {
		_, err := s.Erase(t.Context(), "user-5")
		erased <- err
	}()
	for s.slices[0].use.TryRLock() { // until it waits for the other one
		s.slices[0].use.RUnlock()
		runtime.Gosched()
	}
	late := storetest.Events(151)[150:]
	late[0].Time, late[0].ID = storetest.Now, audit.NewID(storetest.Now)
	if err := s.Append(t.Context(), storetest.Rows(late)); err != nil {
		t.Fatal(err)
	}
	if err := reading.Close(); err != nil { // which the event did not wait for
		t.Fatal(err)
	}
	if err := <-erased; err != nil {
		t.Error(err)
	}
	if n := howMany(t, s, audit.Query{}); n == 0 || howMany(t, s, audit.Query{User: "user-5"}) > 0 {
		t.Errorf("%d events are left", n)
	}
}
