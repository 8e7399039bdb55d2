package revoke_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/revocation"
)

// crowd is how many sit in the room beside the victim.
const crowd = 4

// fill brings a crowd into a room.
func (s *scene) fill(t *testing.T, room string) (all []*e2e.Visitor) {
	t.Helper()
	for n := range crowd {
		name := fmt.Sprint("neighbour-", n)
		all = append(all, s.enter(t, e2e.Who{Token: holder(t, name)}, room, name))
	}
	return all
}

func mustAllStay(all []*e2e.Visitor, room string) {
	for _, v := range all {
		mustStay(v, room)
	}
}

// askedAbout counts the sessions that were asked about anew.
func (s *scene) askedAbout() int {
	sessions := map[string]bool{}
	for _, q := range s.Gate.Questions() {
		if q.Stage == "recheck" {
			sessions[q.Session] = true
		}
	}
	return len(sessions)
}

// restart stops the verifier, lets something happen, and starts it again.
func (s *scene) restart(t *testing.T, meanwhile func()) {
	t.Helper()
	if err := s.Verifier.Stop(); err != nil {
		t.Fatal(err)
	}
	meanwhile()
	if err := s.Verifier.Restart(e2e.Context(t)); err != nil {
		t.Fatal(err)
	}
}

func TestFeed_WhatIsRevokedWhileTheVerifierIsDownIsHeardOfWhenItIsBack(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		all := s.fill(t, "daily")
		early := s.enter(t, e2e.Who{Token: holder(t, "early")}, "daily", "early")
		s.revoke(t, jti("early"))
		mustBePutOut(t, early, "daily", "early")
		before := s.askedAbout()
		victim := s.enter(t, e2e.Who{Token: holder(t, "victim")}, "daily", "victim")
		last := s.enter(t, e2e.Who{Token: holder(t, "last")}, "daily", "last")
		s.restart(t, func() {
			s.revoke(t, jti("victim"))
			mustStay(victim, "daily")
		})
		s.mustBeReported(t, mustBePutOut(t, victim, "daily", "victim"), victim.JID)
		// The feed went on from where it stood: nobody else was asked about, until the next is revoked.
		s.revoke(t, jti("last"))
		mustBePutOut(t, last, "daily", "last")
		if n := s.askedAbout() - before; n != 2 {
			t.Errorf("%d sessions were asked about, want the two that were revoked", n)
		}
		mustAllStay(all, "daily")
	})
}

func TestFeed_ACursorThatIsTooOldMeansThatEverySessionIsAskedAbout(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		all := s.fill(t, "daily")
		victim := s.enter(t, e2e.Who{Token: holder(t, "victim")}, "daily", "victim")
		s.revoke(t, jti("somebody"))
		s.restart(t, func() {
			many := []revocation.Revocation{jti("victim")}
			for n := range 1100 { // more than a node that has just started knows to tell
				many = append(many, jti(fmt.Sprint("nobody-", n)))
			}
			s.revoke(t, many...)
		})
		mustBePutOut(t, victim, "daily", "victim")
		for _, v := range all {
			mustStay(v, "daily")
		}
		asked, err := s.Gate.Arrived(e2e.Context(t), "recheck", 2*(crowd+1)) // by grant, which nobody knows any more, and by token
		if err != nil || s.askedAbout() != crowd+1 {
			t.Errorf("%d questions about %d sessions, want all %d: %v", len(asked), s.askedAbout(), crowd+1, err)
		}
		mustAllStay(all, "daily")
	})
}

// To put a session out takes Prosody milliseconds: of a thousand questions at once most would run out of time meanwhile, be
// taken for no verdict, and have to be asked once more.
func TestFeed_OfManySessionsInQuestionAFewAreAskedAboutAtATime(t *testing.T) {
	const many, few = 60, 32
	// No question runs out of time while they are counted, also on a slow machine: the next would come in its place.
	each(t, e2e.Setup{Host: "usher_timeout = 20"}, func(t *testing.T, s *scene) {
		other := s.mustLogIn(t, e2e.Who{Token: holder(t, "other")})
		var all []*e2e.Visitor
		for range many {
			all = append(all, s.mustLogIn(t, e2e.Who{Token: holder(t, "everywhere")}))
		}
		s.Gate.Hold()
		s.revoke(t, everyTokenOf("everywhere"))
		if _, err := s.Gate.Arrived(e2e.Context(t), "recheck", few); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Ping(e2e.Context(t)); err != nil { // whatever else Prosody had to ask, it has asked by now
			t.Fatal(err)
		}
		asked, err := s.Gate.Arrived(e2e.Context(t), "recheck", few)
		if err != nil || len(asked) != few {
			t.Errorf("%d questions came at once, want %d: %v", len(asked), few, err)
		}
		s.Gate.Release()
		for n, v := range all {
			var closed *client.StreamError
			if err := v.Ended(e2e.Context(t)); !errors.As(err, &closed) {
				t.Errorf("session %d of %d ended with %v", n, many, err)
			}
		}
	})
}

func TestFeed_WithoutAVerdictASessionStaysAndIsAskedAboutAgain(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		victim := s.enter(t, e2e.Who{Token: holder(t, "victim")}, "daily", "victim")
		s.Gate.AnswerInstead(unavailable)
		s.revoke(t, jti("victim"))
		for n := range 2 {
			if _, err := s.Gate.Arrived(e2e.Context(t), "recheck", n+1); err != nil {
				t.Fatal(err)
			}
			mustStay(victim, "daily")
		}
		s.Gate.AnswerInstead(nil)
		mustBePutOut(t, victim, "daily", "victim")
	})
}

func TestFeed_ASessionThatIsNamedAgainIsAskedAboutNoMoreOften(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		victim := s.enter(t, e2e.Who{Token: holder(t, "victim")}, "daily", "victim")
		s.Gate.AnswerInstead(unavailable)
		for n, r := range []revocation.Revocation{jti("victim"), everyTokenOf("victim"), {Selector: revocation.SelectIssuer, Value: "my-app"}} {
			s.revoke(t, r)
			if _, err := s.Gate.Arrived(e2e.Context(t), "recheck", n+1); err != nil {
				t.Fatal(err)
			}
		}
		// Each of these could have set a round of its own going: a question every two seconds.
		const rounds = 4
		began := time.Now() // before they are counted: a slow machine makes the rounds look longer, never shorter
		asked, err := s.Gate.Arrived(e2e.Context(t), "recheck", 3)
		if err == nil {
			_, err = s.Gate.Arrived(e2e.Context(t), "recheck", len(asked)+rounds)
		}
		if took := time.Since(began); err != nil || took < (rounds-1)*2*time.Second-500*time.Millisecond {
			t.Errorf("%d questions came within %s, want one in two seconds: %v", rounds, took, err)
		}
		s.Gate.AnswerInstead(nil)
		mustBePutOut(t, victim, "daily", "victim")
	})
}

// unavailable is how a verifier says that no verdict can be had.
func unavailable(w http.ResponseWriter, _ *http.Request) {
	const body = `{"decision_id":"01JDCQ8Z6H0000000000000000","reason":"revocation_unavailable","message":"Try again."}`
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, body)
}

// reload loads the module anew, as an operator does after a change of its options.
const reload = `assert(require "core.modulemanager".reload("` + e2e.Domain + `", "auth_usher"));`

func TestFeed_AReloadedModuleStillKnowsWhoIsInside(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		all := s.fill(t, "daily")
		victim := s.enter(t, e2e.Who{Token: holder(t, "victim")}, "daily", "victim")
		sleeper := s.enter(t, e2e.Who{Token: holder(t, "sleeper")}, "daily", "sleeper")
		s.hibernate(t, sleeper)
		s.Lua(t, reload, nil)
		s.revoke(t, jti("victim"), jti("sleeper"))
		mustBePutOut(t, victim, "daily", "victim")
		s.mustBeReported(t, mustSeeKick(all[0], "daily", "sleeper"), sleeper.JID)
		mustAllStay(all, "daily")
	})
}

// Whoever was in doubt when the module went is in doubt when it is back.
func TestFeed_AReloadForgetsNobodyWhoIsStillToBeAskedAbout(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		victim := s.enter(t, e2e.Who{Token: holder(t, "victim")}, "daily", "victim")
		s.Gate.AnswerInstead(unavailable)
		s.revoke(t, jti("victim"))
		if _, err := s.Gate.Arrived(e2e.Context(t), "recheck", 1); err != nil {
			t.Fatal(err)
		}
		mustStay(victim, "daily")
		s.Lua(t, reload, nil)
		s.Gate.AnswerInstead(nil)
		mustBePutOut(t, victim, "daily", "victim")
	})
}

func TestFeed_WhatWasRevokedThroughAnotherNodeIsHeardOfWhenTheOwnIsBack(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		v := e2e.StartVerifier(t, e2e.Setup{Verifier: on(f.redis)})
		s := asking(t, f.release, f.team, v)
		e2e.StartVerifier(t, e2e.Setup{Verifier: on(f.redis)})
		all := s.fill(t, "daily")
		victim := s.enter(t, e2e.Who{Token: holder(t, "victim")}, "daily", "victim")
		s.restart(t, func() { s.revoke(t, jti("victim")) })
		mustBePutOut(t, victim, "daily", "victim")
		mustAllStay(all, "daily")
	})
}

// The connection does not break, it only falls silent: nothing but the missing keep-alives tells.
func TestFeed_ANodeThatFellSilentIsLeftForAnother(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		v, other := e2e.StartVerifier(t, e2e.Setup{Verifier: on(f.redis)}), e2e.StartVerifier(t, e2e.Setup{Verifier: on(f.redis)})
		s := asking(t, f.release, f.team, v, other)
		all := s.fill(t, "daily")
		victim := s.enter(t, e2e.Who{Token: holder(t, "victim")}, "daily", "victim")
		if err := v.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		s.revoke(t, jti("victim"))
		mustBePutOut(t, victim, "daily", "victim")
		mustAllStay(all, "daily")
	})
}

func TestFeed_AStoreThatWasEmptiedDoesNotHideWhatIsRevokedNext(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		v := e2e.StartVerifier(t, e2e.Setup{Verifier: on(f.redis)})
		s := asking(t, f.release, f.team, v)
		all := s.fill(t, "daily")
		first := s.enter(t, e2e.Who{Token: holder(t, "first")}, "daily", "first")
		second := s.enter(t, e2e.Who{Token: holder(t, "second")}, "daily", "second")
		s.revoke(t, jti("nobody"))
		emptied(t, f.redis)
		s.revoke(t, jti("first"))
		mustBePutOut(t, first, "daily", "first")
		s.restart(t, func() {
			emptied(t, f.redis) // now nobody is left who knows the old secret
			s.revoke(t, jti("second"))
		})
		mustBePutOut(t, second, "daily", "second")
		mustAllStay(all, "daily")
	})
}

// A failover may lose what was accepted and never acknowledged. What is revoked next then has the number of what was
// lost, and a cursor that counted the lost one would pass over it.
func TestFeed_AStoreThatLostItsLastChangesDoesNotHideWhatIsRevokedNext(t *testing.T) {
	eachFleet(t, func(t *testing.T, f *fleet) {
		v := e2e.StartVerifier(t, e2e.Setup{Verifier: on(f.redis)})
		s := asking(t, f.release, f.team, v)
		all := s.fill(t, "daily")
		heard := s.enter(t, e2e.Who{Token: holder(t, "heard")}, "daily", "heard")
		victim := s.enter(t, e2e.Who{Token: holder(t, "victim")}, "daily", "victim")
		s.revoke(t, jti("nobody"))
		earlier := t.TempDir()
		copyAll(t, f.dir, earlier)
		s.revoke(t, jti("heard"))
		mustBePutOut(t, heard, "daily", "heard")
		s.restart(t, func() {
			f.redis.Kill()
			copyAll(t, earlier, f.dir)
			comeBack(t, f.redis)
			s.revoke(t, jti("victim"))
		})
		mustBePutOut(t, victim, "daily", "victim")
		mustAllStay(all, "daily")
	})
}
