package sqlitestore

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
)

func TestStore_RetentionDeletesWholeSlicesByAge(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 500).Close()
	opt := small(storetest.Now)
	opt.Retention = 30 * time.Minute
	s := openIn(t, dir, opt)
	if err := s.retain(true); err != nil {
		t.Fatal(err)
	}
	oldest := storetest.Now
	page, err := s.Query(t.Context(), audit.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Events {
		if e.Time.Before(oldest) {
			oldest = e.Time
		}
	}
	if n := len(page.Events); n < 180 || n > 280 || oldest.Before(storetest.Now.Add(-50*time.Minute)) {
		t.Errorf("%d events are left, the oldest of %v", n, oldest)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) > 8 {
		t.Errorf("files are left: %v", files)
	}
}

func TestStore_RetentionDeletesTheOldestPastTheSize(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, dir, 600)
	all, _ := s.all()
	s.opt.MaxSize = all[0].size()*3 + 10
	if err := s.retain(true); err != nil {
		t.Fatal(err)
	}
	if left, _ := s.all(); len(left) >= len(all) || len(left) < 2 || left[len(left)-1] != all[len(all)-1] {
		t.Errorf("%d of %d slices are left", len(left), len(all))
	}
}

// A commit copies whole pages into the log, for a single event too. What is not copied back into the file is gigabytes after
// some hours of a few events a second, and has the oldest slices deleted for audit.max_size.
func TestStore_TrickleOfEventsLeavesASmallLog(t *testing.T) {
	for limit, most := range map[int64]int64{0: 32 << 20, 10 << 30: 32 << 20, 64 << 20: 8 << 20} {
		s := openIn(t, t.TempDir(), Options{MaxSize: limit})
		for _, row := range storetest.Rows(storetest.Events(1500)) {
			if err := s.Append(t.Context(), []audit.Row{row}); err != nil {
				t.Fatal(err)
			}
		}
		all, _ := s.all()
		if size := all[0].size(); size > most {
			t.Errorf("with max_size %d the slice and its log take %d bytes", limit, size)
		}
	}
}

// clock is moved by a test while the store's own goroutines read it.
type clock struct{ ms atomic.Int64 }

func startClock() *clock {
	c := &clock{}
	c.ms.Store(storetest.Now.UnixMilli())
	return c
}

func (c *clock) read() time.Time { return time.UnixMilli(c.ms.Load()) }

func (c *clock) forward(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func TestStore_QuietNodeForgetsInTheEnd(t *testing.T) {
	dir := t.TempDir()
	now := startClock()
	opt := Options{Retention: 48 * time.Hour, Now: now.read}
	s := openIn(t, dir, opt)
	if err := s.Append(t.Context(), storetest.Rows(storetest.Events(10))); err != nil {
		t.Fatal(err)
	}
	now.forward(25 * time.Hour)
	if err := s.retain(true); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	if n := howMany(t, s, audit.Query{}); n != 10 {
		t.Errorf("%d events are left after a day, want 10", n)
	}
	now.forward(48 * time.Hour)
	if err := s.retain(true); err != nil {
		t.Fatal(err)
	}
	if n := howMany(t, s, audit.Query{}); n != 0 {
		t.Errorf("%d events outlive their retention", n)
	}
}

func TestStore_QueriesGoOnWhileSlicesAreDeleted(t *testing.T) {
	s := filled(t, t.TempDir(), 900)
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			select {
			case <-stop:
				done <- nil
				return
			default:
				_, err = s.Query(context.Background(), audit.Query{User: "user-4", Limit: 1000})
			}
		}
		done <- err
	}()
	all, _ := s.all()
	for _, sl := range all[:5] {
		if err := s.drop(sl); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStore_SliceThatWasClosedForItsAgeTakesNoMoreRows(t *testing.T) {
	now := startClock()
	s := openIn(t, t.TempDir(), Options{Now: now.read})
	rows := storetest.Rows(storetest.Events(200))
	if err := s.Append(t.Context(), rows[:100]); err != nil {
		t.Fatal(err)
	}
	now.forward(25 * time.Hour)
	s.changes.Lock() // the sealer is kept from it
	s.turnOld()
	err := s.Append(t.Context(), rows[100:])
	s.changes.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	if all, _ := s.all(); len(all) != 2 || !all[0].sealed.Load() {
		t.Errorf("%d slices, want a sealed one and a new one", len(all))
	}
	if n := howMany(t, s, audit.Query{User: "user-4"}); n != 18 {
		t.Errorf("%d events of the user, want 18", n)
	}
}

func TestStore_ClockThatJumpsAheadDeletesNothing(t *testing.T) {
	s := filled(t, t.TempDir(), 250)
	s.opt.Retention = 90 * 24 * time.Hour
	running, right := time.Now(), storetest.Now
	var clock evenness
	minute := func(now time.Time) bool {
		running = running.Add(time.Minute)
		return clock.lasts(now, running)
	}
	for n := range 60 {
		if right = right.Add(time.Minute); minute(right) {
			t.Fatalf("believed %d minutes after the start", n)
		}
	}
	if right = right.Add(time.Minute); !minute(right) {
		t.Error("not believed after an hour")
	}
	ahead := func() time.Time { return right.AddDate(1, 0, 0) }
	for _, now := range []time.Time{ahead(), ahead().Add(time.Minute), right.Add(3 * time.Minute)} {
		s.opt.Now = func() time.Time { return now }
		if err := s.retain(minute(now)); err != nil {
			t.Fatal(err)
		}
	}
	if n := howMany(t, s, audit.Query{}); n != 250 {
		t.Errorf("%d events are left of 250", n)
	}
}
