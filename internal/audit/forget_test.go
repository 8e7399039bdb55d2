package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRotate_WhatIsStoredLeavesTheSpill(t *testing.T) {
	dir := t.TempDir()
	p, _ := start(t, &shelf{}, Options{Dir: dir, SpillMax: 1 << 20})
	e := numbered(1)
	e.Room = "a-room-to-forget"
	p.Record(e)
	flush(t, p)
	if !spilt(t, dir, e.Room) {
		t.Fatal("the event is not in the spill, so that this test shows nothing")
	}
	if err := p.Rotate(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx := soon(t)
	for spilt(t, dir, e.Room) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the event stays in the spill")
		}
	}
}

func TestRotate_LosesNothingWhileEventsCome(t *testing.T) {
	const n = 2000
	store := &shelf{}
	p, _ := start(t, store, Options{Dir: t.TempDir(), SpillMax: 64 << 20})
	for i := range n {
		p.Record(numbered(i))
		if i%50 == 0 {
			if err := p.Rotate(); err != nil {
				t.Fatal(err)
			}
		}
	}
	flush(t, p)
	wantNumbered(t, store.events(t), n)
}

func TestSpill_QuietNodeKeepsNothingForLong(t *testing.T) {
	for name, c := range map[string]struct {
		retention, keeps, gone time.Duration
		again                  time.Duration // another event comes after this
	}{
		"quiet":           {90 * 24 * time.Hour, 23 * time.Hour, 24 * time.Hour, 0},
		"no retention":    {0, 23 * time.Hour, 24 * time.Hour, 0},
		"short retention": {2 * time.Hour, 110 * time.Minute, 2 * time.Hour, 0},
		"a trickle":       {0, 23 * time.Hour, 24 * time.Hour, 7 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, store := t.TempDir(), &shelf{}
				p, log := start(t, store, Options{Dir: dir, Retention: c.retention, Now: time.Now})
				began := time.Now()
				record := func(detail string) {
					p.Record(Event{ID: NewID(time.Now()), Kind: Decision, Verdict: Allow, Detail: detail})
					flush(t, p)
				}
				sleepUntil := func(d time.Duration) {
					for c.again > 0 && time.Since(began)+c.again < d {
						time.Sleep(c.again)
						record("of the trickle")
					}
					time.Sleep(d - time.Since(began))
					synctest.Wait()
				}
				record("to-be-forgotten")
				sleepUntil(c.keeps)
				if !spilt(t, dir, "to-be-forgotten") {
					t.Error("the event has left the spill before its time")
				}
				sleepUntil(c.gone + time.Minute)
				if spilt(t, dir, "to-be-forgotten") {
					t.Errorf("the event is in the spill after %v: %s", c.gone, log)
				}
				recorded := p.recorded.Load()
				record("after it")
				if n := len(store.events(t)); n != int(recorded)+1 {
					t.Errorf("the store has %d events, %d were recorded", n, recorded+1)
				}
			})
		})
	}
}

func TestSpill_OldEventsStayWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, store := t.TempDir(), &shelf{away: true}
		p, _ := start(t, store, Options{Dir: dir, Now: time.Now})
		p.Record(Event{ID: NewID(time.Now()), Kind: Decision, Verdict: Allow, Detail: "on-its-way"})
		time.Sleep(72 * time.Hour)
		if !spilt(t, dir, "on-its-way") {
			t.Fatal("an event is gone that no store has")
		}
		store.set(func() { store.away = false })
		flush(t, p)
		synctest.Wait()
		if n := len(store.events(t)); n != 1 || spilt(t, dir, "on-its-way") {
			t.Errorf("the store has %d of 1 event, or the spill keeps it for longer", n)
		}
	})
}

func TestSpill_EventsGoOnWhereNothingCanBeDeleted(t *testing.T) {
	dir, store := t.TempDir(), &shelf{}
	p, log := start(t, store, Options{Dir: dir})
	p.Record(numbered(0))
	flush(t, p)
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	// A folder that is not empty is in the place of the file: even root cannot delete that as one.
	for _, err := range []error{os.Remove(names[0]), os.MkdirAll(filepath.Join(names[0], "in the way"), 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p.spill.mu.Lock()
	err = p.spill.begin(p.last + 1)
	p.spill.announce()
	p.spill.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		p.Record(numbered(1 + i))
		flush(t, p)
	}
	wantNumbered(t, store.events(t), 6)
	if text := log.String(); !strings.Contains(text, "trying again in a minute") {
		t.Errorf("the log says %q", text)
	}
}

// spilt says whether a text lies in any file of the spill.
func spilt(t *testing.T, dir, text string) bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && strings.Contains(string(b), text) {
			return true
		}
	}
	return false
}
