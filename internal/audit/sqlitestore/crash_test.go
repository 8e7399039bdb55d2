package sqlitestore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
)

// crashRate is how many events a second the process records that is to be killed.
const crashRate = 20_000

// TestRecorder_ForKilling is no test but the process that TestPipeline_KilledProcess… kills.
func TestRecorder_ForKilling(t *testing.T) {
	dir := os.Getenv("USHER_TEST_RECORD_IN")
	if dir == "" {
		return
	}
	store, err := Open(t.Context(), filepath.Join(dir, "audit"), Options{SliceRows: 5000})
	if err != nil {
		t.Fatal(err)
	}
	p, err := audit.Open(t.Context(), store, audit.Options{Dir: filepath.Join(dir, "spill"), SpillMax: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for n := 0; ; {
		for due := int(time.Since(begun).Seconds() * crashRate); n < due; n++ {
			now := time.Now()
			p.Record(audit.Event{Time: now, ID: audit.NewID(now), Kind: audit.Decision, Verdict: audit.Allow, Session: strconv.Itoa(n), UserID: "u"})
		}
		fmt.Println("recorded", n)
		time.Sleep(time.Millisecond) // the pace of the load, not a wait for something
	}
}

func TestPipeline_KilledProcessLosesAtMostTheStatedWindow(t *testing.T) {
	dir := t.TempDir()
	var answered []int
	for round := range 4 {
		answered = append(answered, recordAndKill(t, dir, time.Duration(300+rand.IntN(900))*time.Millisecond))
		t.Logf("round %d: %d decisions were answered", round, answered[round])
	}
	store := openIn(t, filepath.Join(dir, "audit"), Options{SliceRows: 5000, Now: time.Now})
	p, err := audit.Open(t.Context(), store, audit.Options{Dir: filepath.Join(dir, "spill"), SpillMax: 1 << 30, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	kept, twice := recount(t, store)
	if twice > 0 {
		t.Errorf("%d events are there twice", twice)
	}
	var all int
	for _, n := range answered {
		all += n
	}
	// 100 ms a kill, and as much again for a machine that is busy with other tests.
	if window := len(answered) * crashRate / 5; kept > all+window || kept < all-window {
		t.Errorf("%d events of %d answered are kept, the window is %d", kept, all, window)
	}
}

// recordAndKill lets a process record for a while, kills it, and gives how many decisions it had answered at least.
func recordAndKill(t *testing.T, dir string, after time.Duration) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRecorder_ForKilling$")
	cmd.Env = append(os.Environ(), "USHER_TEST_RECORD_IN="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(after+200*time.Millisecond, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "recorded %d", &n)
	}
	_ = cmd.Wait() // it was killed
	return n
}

// recount counts events, and those whose session (the number within its round) is there more often than rounds allow.
func recount(t *testing.T, store audit.Store) (kept, twice int) {
	t.Helper()
	ids := map[string]bool{}
	q := audit.Query{Limit: 1000}
	for {
		page, err := store.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			kept++
			if ids[e.ID] {
				twice++
			}
			ids[e.ID] = true
		}
		if page.Next == "" {
			return kept, twice
		}
		q.Cursor = page.Next
	}
}

func TestPipeline_EventsOfManySlicesArriveInOrder(t *testing.T) {
	dir := t.TempDir()
	store := openIn(t, filepath.Join(dir, "audit"), Options{SliceRows: 400})
	p, err := audit.Open(t.Context(), store, audit.Options{Dir: filepath.Join(dir, "spill"), SpillMax: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	events := storetest.Events(3000)
	for _, e := range events {
		p.Record(e)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := howMany(t, store, audit.Query{}); n != len(events) {
		t.Errorf("%d events, want %d", n, len(events))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "spill", "*.spill")); len(left) != 1 {
		t.Errorf("the spill keeps %v after a clean end", left)
	}
}

// TestStore_CrashInTheMiddleOfAChangeIsUndone leaves what a kill leaves that comes while a slice is sealed or erased
// from: a file that is half changed, and the journal to undo it.
func TestStore_CrashInTheMiddleOfAChangeIsUndone(t *testing.T) {
	dir, crashed := t.TempDir(), t.TempDir()
	s := openIn(t, dir, small(storetest.Now))
	if err := s.Append(t.Context(), storetest.Rows(storetest.Events(60))); err != nil {
		t.Fatal(err)
	}
	all, _ := s.all()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := all[0].path
	db, err := open(path, "mode=rw", "journal_mode(DELETE)", "cache_size(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("UPDATE rows SET d = randomblob(40000)"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-journal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(crashed, filepath.Base(path))+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unfinished := filepath.Join(crashed, filepath.Base(path)) + newExt
	if err := os.WriteFile(unfinished, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := openIn(t, crashed, small(storetest.Now))
	if _, err := os.Stat(unfinished); err == nil {
		t.Error("what was never finished is still there")
	}
	if n := howMany(t, again, audit.Query{}); n != 60 {
		t.Errorf("%d events, want 60", n)
	}
	if err := again.Append(t.Context(), storetest.Rows(storetest.Events(70)[60:])); err != nil {
		t.Error(err)
	}
}

func TestStore_SaysWhichFileIsDamagedAndStartsWithoutIt(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, dir, 250)
	all, _ := s.all()
	newest := all[len(all)-1].path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[1<<14:])
	if err := os.WriteFile(newest, b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), dir, small(storetest.Now))
	if err == nil || !strings.Contains(err.Error(), newest) || !strings.Contains(err.Error(), "move the file") {
		t.Fatal(err)
	}
	for _, part := range []string{"", "-wal", "-shm", indexExt} {
		if err := os.Remove(newest + part); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if n := howMany(t, openIn(t, dir, small(storetest.Now)), audit.Query{}); n != 200 {
		t.Errorf("%d events are left, want 200", n)
	}
}
