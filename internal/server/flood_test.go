package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/reason"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestFlood_RefusesTheAddressThatFloodsAndNobodyElse(t *testing.T) {
	f := newFlood(3)
	for range 3 {
		if f.exceeded("198.51.100.7", noon) {
			t.Fatal("refused before the limit")
		}
		f.bad("198.51.100.7", noon)
	}
	for address, want := range map[string]bool{"198.51.100.7": true, "::ffff:198.51.100.7": true, "198.51.100.8": false, "": false, "unix": false} {
		if f.exceeded(address, noon) != want {
			t.Errorf("%q: not %v", address, want)
		}
	}
	if f.exceeded("198.51.100.7", noon.Add(floodWindow)) {
		t.Error("still refused in the next window")
	}
}

func TestFlood_ASubscribersWholeIPv6NetIsOneAddress(t *testing.T) {
	f := newFlood(2)
	f.bad("2001:db8::1", noon)
	f.bad("2001:db8::2", noon)
	if !f.exceeded("2001:db8::3", noon) || f.exceeded("2001:db8:0:1::1", noon) {
		t.Error("not counted by /64")
	}
}

func TestFlood_MemoryIsBoundedAndAFullTableRefusesNobodyNew(t *testing.T) {
	f := newFlood(2)
	for n := range maxAddresses + 1000 {
		f.bad(fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255), noon)
	}
	if len(f.counts) != maxAddresses || f.exceeded("192.0.2.1", noon) {
		t.Errorf("%d addresses are kept", len(f.counts))
	}
	if f.bad("10.0.0.0", noon); !f.exceeded("10.0.0.0", noon) {
		t.Error("one that is kept is not counted on")
	}
}

func TestFlood_WithoutALimitNothingIsKept(t *testing.T) {
	f := newFlood(0)
	f.bad("198.51.100.7", noon)
	if f.exceeded("198.51.100.7", noon) || len(f.counts) != 0 {
		t.Error("counts without a limit")
	}
}

func TestFlood_AClockSetBackBeginsAnew(t *testing.T) {
	f := newFlood(1)
	f.bad("198.51.100.7", noon)
	if f.exceeded("198.51.100.7", noon.Add(-time.Hour)) {
		t.Error("refused for an hour because the clock was set back")
	}
}

func TestDecide_PastWhatIsJudgedAtOnceTheNextIsToldToWait(t *testing.T) {
	s := new(Server)
	s.flight.Store(maxFlight)
	v := s.decide(&decide.Question{}, noon)
	if v.Problem == nil || v.Problem.Code != reason.Overloaded || s.flight.Load() != maxFlight {
		t.Errorf("got %+v with %d under way", v, s.flight.Load())
	}
}
