package dropin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
)

// breakout is a MUC without our check, whose rooms belong to the daily room.
const breakout = "team@breakout.meet.example.com"

var breakoutSetup = e2e.Setup{
	MUCModules: []string{"e2e_breakout"},
	Hosts: `Component "breakout.meet.example.com" "muc"
		modules_enabled = { "e2e_breakout" }
		e2e_breakout_of = "daily@conference.meet.example.com"
		muc_room_locking = false`,
}

// mainRoom is the session's mark of the main room that let it in.
func mainRoom(t *testing.T, s *e2e.Stack, jid string) (main string) {
	t.Helper()
	s.Lua(t, fmt.Sprintf(`return prosody.full_sessions[%q].jitsi_breakout_main_jid or "";`, jid), &main)
	return main
}

func leaves(nick string) func(*client.Element) bool {
	return func(e *client.Element) bool {
		return e.Name() == "presence" && e.Attr("type") == "unavailable" && strings.HasSuffix(e.Attr("from"), "/"+nick)
	}
}

func TestBreakout_ItsMainRoomGatesItAndTheVerifierIsNotAsked(t *testing.T) {
	each(t, breakoutSetup, func(t *testing.T, s *e2e.Stack) {
		alice := s.Login(t, e2e.Who{Token: mine(t, "daily", "first")})
		alice.MustBeRefused(breakout, "alice")
		alice.MustJoin("daily", "alice")
		asked := len(s.Gate.Questions())
		alice.MustJoin(breakout, "alice")
		if more := s.Gate.Questions()[asked:]; len(more) != 0 {
			t.Errorf("the verifier was asked about a breakout room: %s", more[0].Body)
		}
		// A refused join of another room does not take the way into the breakout rooms away.
		alice.MustBeRefused("weekly", "alice")
		if got := mainRoom(t, s, alice.JID); got != e2e.Room("daily") {
			t.Errorf("the session's main room is %q", got)
		}
	})
}

func TestBreakout_ASessionThatComesBackIsJudgedForItsMainRoom(t *testing.T) {
	each(t, breakoutSetup, func(t *testing.T, s *e2e.Stack) {
		host := s.Login(t, e2e.Who{Token: user(t, "host")})
		host.MustJoin("daily", "host")
		host.MustJoin(breakout, "host")
		for room, stays := range map[string]bool{"daily": true, "weekly": false} {
			alice := s.Login(t, e2e.Who{Token: mine(t, "daily", "first")})
			id := enable(alice)
			alice.MustJoin("daily", "alice")
			alice.MustJoin(breakout, "alice")
			if err := alice.Leave(e2e.Context(t), e2e.Room("daily"), "alice"); err != nil {
				t.Fatal(err)
			}
			host.MustExpect("alice to leave the main room", leaves("alice"))
			alice.Close()
			before := len(s.Gate.Questions())
			if answer := resume(t, s, "", mine(t, room, "second"), id); answer != "resumed" {
				t.Fatalf("the resumption %s", answer)
			}
			judged := mustRecheck(t, s, before)
			if judged.Room != e2e.Room("daily") {
				t.Errorf("the session was asked about with room %q, want its main room", judged.Room)
			}
			if !stays {
				host.MustExpect("alice to leave the breakout room", leaves("alice"))
				if got := mainRoom(t, s, alice.JID); got != "" {
					t.Errorf("with a token for %s the session still has the mark of %s", room, got)
				}
				continue
			}
			waitFor(t, s, fmt.Sprintf(`return prosody.full_sessions[%q].jitsi_breakout_main_jid == %q;`, alice.JID, e2e.Room("daily")))
			var in bool
			s.Lua(t, fmt.Sprintf(`local muc = prosody.hosts["breakout.meet.example.com"].modules.muc;
				return muc.get_room_from_jid(%q):get_occupant_by_real_jid(%q) ~= nil;`, breakout, alice.JID), &in)
			if !in {
				t.Error("a token that opens the main room lost its seat in the breakout room")
			}
			s.Lua(t, fmt.Sprintf(`prosody.full_sessions[%q]:close();`, alice.JID), nil)
			host.MustExpect("alice to go", leaves("alice"))
		}
	})
}

// Jitsi's client leaves one room before it joins the next.
func TestBreakout_WhoComesBackBetweenRoomsKeepsTheWayThatItsTokenHasOpened(t *testing.T) {
	each(t, breakoutSetup, func(t *testing.T, s *e2e.Stack) {
		s.Login(t, e2e.Who{Token: user(t, "host")}).MustJoin("daily", "host")
		first := mine(t, "daily", "first")
		for token, keeps := range map[string]bool{first: true, mine(t, "daily", "second"): false} {
			alice := s.Login(t, e2e.Who{Token: first})
			id := enable(alice)
			alice.MustJoin("daily", "alice")
			if err := alice.Leave(e2e.Context(t), e2e.Room("daily"), "alice"); err != nil {
				t.Fatal(err)
			}
			alice.Close()
			if answer := resume(t, s, "", token, id); answer != "resumed" {
				t.Fatalf("the resumption %s", answer)
			}
			if got := mainRoom(t, s, alice.JID); (got == e2e.Room("daily")) != keeps {
				t.Errorf("with the same token %v, the session's main room is %q", keeps, got)
			}
			s.Lua(t, fmt.Sprintf(`prosody.full_sessions[%q]:close();`, alice.JID), nil)
		}
	})
}

// mustRecheck waits for the first recheck after the given number of questions.
func mustRecheck(t *testing.T, s *e2e.Stack, before int) e2e.Question {
	t.Helper()
	earlier := 0
	for _, q := range s.Gate.Questions()[:before] {
		if q.Stage == "recheck" {
			earlier++
		}
	}
	found, err := s.Gate.Arrived(e2e.Context(t), "recheck", earlier+1)
	if err != nil {
		t.Fatal(err)
	}
	return found[earlier]
}

// waitFor asks Prosody until a chunk of Lua returns true.
func waitFor(t *testing.T, s *e2e.Stack, chunk string) {
	t.Helper()
	ctx := e2e.Context(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for yes := false; ; {
		if s.Lua(t, chunk, &yes); yes {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never became true: %s", chunk)
		}
	}
}
