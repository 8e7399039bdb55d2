package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	p.Record(numbered(2))
	flush(t, p)
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
