package revocation

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func loadedFeed(seq uint64) *Feed {
	f := newFeed()
	f.restart(position{identity: Identity{Epoch: "e", Secret: [16]byte{1}}, seq: seq, tag: "t"}, nil)
	return f
}

func tell(f *Feed, from, to uint64) {
	var changes []Change
	for seq := from; seq <= to; seq++ {
		changes = append(changes, Change{Seq: seq, Tag: "t", Entry: jti(int(seq))})
	}
	f.add(changes)
}

func TestFeed_ASlowReaderHoldsUpNobodyAndIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := loadedFeed(0)
	slow := f.Subscribe(ctx, "e-0-t")
	tell(f, 1, 10)
	tell(f, 11, 3*remembered) // more than is remembered, and nobody reads
	for line := range slow {
		if line.Reset {
			if want := fmt.Sprintf("e-%d-t", 3*remembered); line.Cursor != want {
				t.Errorf("after the reset it goes on from %s, and the feed stands at %s", line.Cursor, want)
			}
			return
		}
	}
}

func TestFeed_TellsEveryKeyOnceInOrder(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := loadedFeed(7)
	lines := f.Subscribe(ctx, "e-7-t")
	const n = 3 * lineKeys
	tell(f, 8, 7+n)
	for seq := uint64(8); seq <= 7+n; {
		line := <-lines
		if line.Reset {
			t.Fatal("it was reset")
		}
		for _, key := range line.Keys {
			if want := f.lock.names([]Key{jti(int(seq)).Key})[0]; key != want {
				t.Fatalf("change %d is told as %s, want %s", seq, key, want)
			}
			seq++
		}
	}
}

func TestFeed_CursorsThatCannotBeServedAreReset(t *testing.T) {
	f := loadedFeed(100)
	tell(f, 101, 110)
	for cursor, reset := range map[string]bool{
		"": true, "e": true, "e-": true, "e-x": true, "e--1": true, "other-105-t": true, "e-99-t": true, "e-18446744073709551615-t": true,
		"e-105": true, "e-105-lost": true, "e-100-t": false, "e-105-t": false,
	} {
		line, wait, _ := f.after(cursor)
		if wait != nil || line.Reset != reset || line.Cursor != "e-110-t" {
			t.Errorf("the cursor %q is answered %+v", cursor, line)
		}
	}
	if _, wait, ahead := f.after("e-111-t"); wait == nil || !ahead { // another node is a little ahead
		t.Error("a cursor that lies just ahead was not waited for")
	}
	tell(f, 111, 112)
	if line, _, _ := f.after("e-111-lost"); !line.Reset {
		t.Error("a cursor into what a failover lost was served")
	}
}

// A backup that was restored, and a failover that lost the last changes, go on in the same history from a lower number.
func TestFeed_CursorsIntoALostTailAreResetBeforeLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		f := loadedFeed(100)
		lines := f.Subscribe(ctx, "e-110-lost")
		for seq := uint64(101); seq < 106; seq++ { // what is told meanwhile must not put it off
			time.Sleep(aheadFor / 4)
			tell(f, seq, seq)
		}
		select {
		case line := <-lines:
			if !line.Reset || line.Cursor == "" {
				t.Errorf("a cursor that lay ahead for too long is answered %+v", line)
			}
		case <-time.After(time.Hour):
			t.Error("a cursor into a lost tail is waited on for ever")
		}
	})
}

func TestFeed_CursorsOfAFasterNodeAreServedOnceWeAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		f := loadedFeed(100)
		lines := f.Subscribe(ctx, "e-101-t")
		time.Sleep(aheadFor / 2)
		tell(f, 101, 101)
		time.Sleep(2 * aheadFor)
		tell(f, 102, 102)
		if line := <-lines; line.Reset || len(line.Keys) != 1 {
			t.Errorf("told %+v", line)
		}
	})
}

// A store that was emptied may come back with another secret, while sessions hold names under the old one.
func TestFeed_NamesUnderAnOldSecretAreStillTold(t *testing.T) {
	f := loadedFeed(0)
	m := MarksOf(Subject{Issuer: "app", JTI: "1"})
	old := f.lock.of(nil, &m)
	f.restart(position{identity: Identity{Epoch: "e2", Secret: [16]byte{2}}}, nil)
	tell(f, 1, 1)
	line, _, _ := f.after("e2-0-")
	told := map[string]bool{}
	for _, key := range line.Keys {
		told[key] = true
	}
	found := 0
	for _, name := range f.lock.of(old, &m) {
		if told[string(name[:])] {
			found++
		}
	}
	if found != 2 {
		t.Errorf("the session holds %q and was told %v", old, line.Keys)
	}
}

// The shim takes two sessions for the same person's by their first key.
func TestFeedKeys_TheFirstIsTheUsersElseTheTokens(t *testing.T) {
	f := loadedFeed(0)
	first := func(s Subject) Name {
		m := MarksOf(s)
		return f.lock.of(nil, &m)[0]
	}
	ada := Subject{Issuer: "app", User: "ada", JTI: "1", Fingerprint: [16]byte{1}}
	for what, c := range map[string]struct {
		other Subject
		same  bool
	}{
		"a new token of hers":       {Subject{Issuer: "app", User: "ada", JTI: "2", Fingerprint: [16]byte{2}}, true},
		"another user":              {Subject{Issuer: "app", User: "eve", JTI: "1", Fingerprint: [16]byte{1}}, false},
		"another issuer's ada":      {Subject{Issuer: "other", User: "ada", JTI: "1", Fingerprint: [16]byte{1}}, false},
		"a token that names nobody": {Subject{Issuer: "app", JTI: "1", Fingerprint: [16]byte{1}}, false},
	} {
		if same := first(ada) == first(c.other); same != c.same {
			t.Errorf("%s counts as the same person: %t", what, same)
		}
	}
	nobody, other := Subject{Issuer: "app", JTI: "1", Fingerprint: [16]byte{1}}, Subject{Issuer: "app", JTI: "1", Fingerprint: [16]byte{2}}
	if first(nobody) == first(other) {
		t.Error("two tokens that name nobody count as the same person's")
	}
}
