package sqlitestore

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
)

// askBeside asks for all that a store can be asked for, and holds it against the events that are left.
func askBeside(t *testing.T, s *Store, when string, left []audit.Event) {
	t.Helper()
	of := map[string]int{"findme": 0, "user-5": 0}
	for i := range left {
		of[left[i].UserID]++
	}
	if n := howMany(t, s, audit.Query{}); n != len(left) {
		t.Errorf("%s: %d of %d events are found", when, n, len(left))
	}
	for _, user := range []string{"findme", "user-5"} {
		if n := howMany(t, s, audit.Query{User: user}); n != of[user] {
			t.Errorf("%s: %d of %d events of %s are found", when, n, of[user], user)
		}
	}
	if e, found, err := s.Get(t.Context(), left[0].ID); err != nil || !found || e != left[0] {
		t.Errorf("%s: %s is %+v, %v, %v", when, left[0].ID, e, found, err)
	}
	span := audit.Query{Since: storetest.Now.Add(-24 * time.Hour), Until: storetest.Now, Kind: audit.Decision, Host: "host1.example.com"}
	counts, err := s.Stats(t.Context(), audit.StatsQuery{Query: span, By: "user", Every: audit.CountSpan})
	total, want := 0, 0
	for _, c := range counts {
		total += int(c.Count)
	}
	for i := range left {
		if left[i].Kind == audit.Decision && left[i].Host == span.Host {
			want++
		}
	}
	if err != nil || total != want {
		t.Errorf("%s: %d of %d events are counted, %v", when, total, want, err)
	}
}

func without(events []audit.Event, user string) (left []audit.Event) {
	for i := range events {
		if events[i].UserID != user {
			left = append(left, events[i])
		}
	}
	return left
}

// Whoever asks the files beside the node (--offline) gets what is there, also of one that was written anew since it was
// first read.
func TestReadOnly_AnswersByWhatAnErasureHasLeft(t *testing.T) {
	dir := t.TempDir()
	writer := openIn(t, dir, Options{SliceRows: 2000, Now: func() time.Time { return storetest.Now }})
	events, theirs := marked(5000) // two sealed slices and the newest
	if err := writer.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	settle(t, writer)
	beside := openIn(t, dir, Options{ReadOnly: true})
	askBeside(t, beside, "before", events)
	if n, err := writer.Erase(t.Context(), "findme"); n != int64(theirs) || err != nil {
		t.Fatal(n, err)
	}
	events = without(events, "findme")
	askBeside(t, beside, "erased from", events)
	settle(t, writer)
	askBeside(t, beside, "sealed again", events)
	all, _ := writer.all()
	if err := writer.drop(all[0]); err != nil {
		t.Fatal(err)
	}
	askBeside(t, beside, "its oldest file deleted", events[len(events)-howMany(t, writer, audit.Query{}):])
}

const erasures = 6

// TestEraser_ForReadingBeside is no test but the process that erases while TestReadOnly_… reads.
func TestEraser_ForReadingBeside(t *testing.T) {
	dir := os.Getenv("USHER_TEST_ERASE_IN")
	if dir == "" {
		return
	}
	s := openIn(t, dir, Options{SliceRows: 2000, Now: func() time.Time { return storetest.Now }})
	for n := range erasures {
		if _, err := s.Erase(t.Context(), fmt.Sprintf("once-%d", n)); err != nil {
			t.Fatal(err)
		}
		settle(t, s)
	}
}

func TestReadOnly_TakesNoFileForDamagedThatAnotherProcessErasesFrom(t *testing.T) {
	dir := t.TempDir()
	opt := Options{SliceRows: 2000, Now: func() time.Time { return storetest.Now }}
	writer := openIn(t, dir, opt)
	events, theirs := marked(8000)
	for i := 1; i < len(events); i += 7 { // in every file
		events[i].UserID = fmt.Sprintf("once-%d", i/7%erasures)
	}
	if err := writer.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	settle(t, writer)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	eraser := exec.Command(os.Args[0], "-test.run=^TestEraser_ForReadingBeside$")
	eraser.Env = append(os.Environ(), "USHER_TEST_ERASE_IN="+dir)
	var said strings.Builder
	eraser.Stdout, eraser.Stderr = &said, &said
	if err := eraser.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- eraser.Wait() }()
	t.Cleanup(func() { _ = eraser.Process.Kill() }) // where it has not ended
	opt.ReadOnly = true
	beside := openIn(t, dir, opt)
	for erasing := true; erasing; {
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the eraser: %v: %s", err, said.String())
			}
			erasing = false
		default:
		}
		if n := howMany(t, beside, audit.Query{User: "findme"}); n != theirs {
			t.Errorf("%d of %d events are found by their user", n, theirs)
		}
		if n := howMany(t, beside, audit.Query{Subject: events[3].Subject}); n == 0 { // by looking through all
			t.Error("no event is found by its subject")
		}
		span := audit.Query{Since: storetest.Now.Add(-24 * time.Hour), Until: storetest.Now, Host: events[3].Host}
		if _, err := beside.Stats(t.Context(), audit.StatsQuery{Query: span, By: "user", Every: audit.CountSpan}); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			return
		}
	}
}
