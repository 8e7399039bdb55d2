package keys

import (
	"net/netip"
	"strconv"
	"testing"
	"time"
)

func TestLimiter_LetsOneUnknownKidThroughInFiveSeconds(t *testing.T) {
	l, now, let := newLimiter(usual), time.Now(), 0
	for range 60_000 { // each millisecond of a minute
		if l.demand(nobody, now) {
			let++
		}
		now = now.Add(time.Millisecond)
	}
	if let != 12 {
		t.Errorf("let %d through", let)
	}
}

func TestLimiter_NoMinuteHasMoreThanThirteenFetchesOfAnyKind(t *testing.T) {
	l, now := newLimiter(usual), time.Now()
	var fetches []time.Time
	for range 10 * 60_000 / 100 { // each tenth of a second of ten minutes
		if l.full(now) == 0 && now.Nanosecond() < 3e8 { // of its own accord, far too often
			l.started(now)
			fetches = append(fetches, now)
		}
		if l.demand(nobody, now) {
			fetches = append(fetches, now)
		}
		now = now.Add(100 * time.Millisecond)
	}
	for i := 13; i < len(fetches); i++ {
		if d := fetches[i].Sub(fetches[i-13]); d < time.Minute {
			t.Fatalf("14 fetches within %s", d)
		}
	}
	if len(fetches) < 13*9 {
		t.Errorf("only %d fetches", len(fetches))
	}
}

func TestLimiter_AKidThatIsFoundWasNoFlood(t *testing.T) {
	l, now := newLimiter(usual), time.Now()
	for range 100 {
		if !l.demand(nobody, now) {
			t.Fatal("held back")
		}
		l.forgive()
	}
}

func TestLimiter_WhoHadAFetchInVainLeavesEveryOtherSlotToOthers(t *testing.T) {
	l, now := newLimiter(usual), time.Now()
	flooder, user := netip.MustParsePrefix("198.51.100.7/32"), netip.MustParsePrefix("203.0.113.9/32")
	if !l.demand(flooder, now) {
		t.Fatal("the first is held back")
	}
	l.missed(flooder, now)
	l.missed(nobody, now)
	for _, c := range []struct {
		from netip.Prefix
		in   time.Duration
		want bool
	}{
		{user, 4 * time.Second, false}, {flooder, 9 * time.Second, false}, {user, 5 * time.Second, true}, {nobody, 5 * time.Second, true},
		{flooder, 10 * time.Second, true}, {flooder, usual.vainFor, true},
	} {
		l := l.copy()
		if got := l.demand(c.from, now.Add(c.in)); got != c.want {
			t.Errorf("%s after %s: %t", c.from, c.in, got)
		}
	}
	later := now.Add(usual.vainFor)
	if !l.demand(flooder, later) || !l.demand(flooder, later.Add(usual.floor)) {
		t.Error("it is held against it for ever")
	}
}

func TestLately_ForgetsInTimeAndIsBounded(t *testing.T) {
	a, now := newLately[string](), time.Now()
	a.add("x", now, now.Add(time.Minute))
	if !a.has("x", now.Add(59*time.Second)) || a.has("x", now.Add(time.Minute)) || a.has("y", now) {
		t.Error("it does not remember for a minute what it was told")
	}
	for i := range 10 * maxLately {
		a.add(strconv.Itoa(i), now, now.Add(time.Minute))
		if n := len(a.until); n > maxLately {
			t.Fatalf("it holds %d", n)
		}
	}
	if !a.has(strconv.Itoa(10*maxLately-1), now) {
		t.Error("it forgot the latest")
	}
	later := now.Add(time.Hour)
	for i := range maxLately {
		a.add("later"+strconv.Itoa(i), later, later.Add(time.Minute))
	}
	if !a.has("later0", later) || !a.has("later"+strconv.Itoa(maxLately-1), later) {
		t.Error("what was over took the room of what was not")
	}
}

func TestPace_WhateverAnAnswerSaysTheNextFetchIsWithinBounds(t *testing.T) {
	for _, d := range []time.Duration{-time.Hour, 0, 1, time.Second, 15 * time.Second, time.Minute, time.Hour, 68 * 365 * 24 * time.Hour} {
		for range 100 {
			if got := usual.fresh(d, true); got < usual.minFresh || got > usual.maxFresh {
				t.Fatalf("%s gave %s", d, got)
			}
		}
	}
	if got := usual.fresh(0, false); got < usual.usualFresh*9/10 || got > usual.usualFresh {
		t.Errorf("nothing said gave %s", got)
	}
}

func TestPace_BacksOffWithJitterUpToABound(t *testing.T) {
	seen := map[time.Duration]bool{}
	for failures := range 100 {
		got := usual.backoff(failures)
		if got < usual.floor || got > usual.backoffMax*3/2 {
			t.Fatalf("%d failures gave %s", failures, got)
		}
		if failures > 1 && failures < 6 && got < usual.floor<<(failures-1) {
			t.Errorf("%d failures gave %s", failures, got)
		}
		seen[usual.backoff(3)] = true
	}
	if len(seen) < 50 {
		t.Error("a fleet would ask in step")
	}
}
