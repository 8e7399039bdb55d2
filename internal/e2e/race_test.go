package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
)

// Everything here happens while the verifier is slow: the gate holds the shim's questions back.

// unhurried lets questions wait for as long as a test holds them, on however busy a machine.
const unhurried = "usher_timeout = 60"

// mustArrive waits until n questions of a stage wait at the gate.
func mustArrive(t *testing.T, s *e2e.Stack, stage string, n int) {
	t.Helper()
	if got, err := s.Gate.Arrived(e2e.Context(t), stage, n); err != nil {
		t.Fatalf("%d of %d questions of stage %s came: %v", len(got), n, stage, err)
	}
}

// occupants are the nicks in each room that exists, as Prosody itself has them.
func occupants(t *testing.T, s *e2e.Stack) map[string][]string {
	t.Helper()
	var lines string
	s.Lua(t, `local lines = {};
		for room in prosody.hosts["conference.meet.example.com"].modules.muc.each_room() do
			lines[#lines + 1] = room.jid;
			for nick in room:each_occupant() do lines[#lines] = lines[#lines] .. " " .. nick:match("/(.*)"); end
		end
		return table.concat(lines, "\n");`, &lines)
	rooms := map[string][]string{}
	for line := range strings.Lines(lines) {
		fields := strings.Fields(line)
		rooms[fields[0]] = fields[1:]
	}
	return rooms
}

func TestRace_TwoFirstJoinsOfOneRoomMakeOneRoom(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Global: unhurried})
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, nil)})
		bob := s.Login(t, e2e.Who{Via: e2e.BOSH, Token: e2e.Token(t, e2e.Claims{"jti": "bob"})})
		s.Gate.Hold()
		mustAsk(t, alice, "daily", "alice")
		mustAsk(t, bob, "daily", "bob")
		mustArrive(t, s, "create", 2)
		s.Gate.Release()
		for _, v := range []*e2e.Visitor{alice, bob} {
			if _, err := v.Joined(e2e.Context(t), e2e.Room("daily")); err != nil {
				t.Fatal(err)
			}
		}
		alice.MustExpect("bob's presence", presenceOf("daily", "bob"))
		bob.MustExpect("alice's presence", presenceOf("daily", "alice"))
		if rooms := occupants(t, s); len(rooms) != 1 || len(rooms[e2e.Room("daily")]) != 2 {
			t.Errorf("the rooms are %v", rooms)
		}
		asked := 0
		for _, q := range s.Gate.Questions() {
			if q.Stage != "recheck" { // the feed's first line asks about whoever was inside before it came
				asked++
			}
		}
		if asked != 4 {
			t.Errorf("two logins and two joins took %d questions, want 4", asked)
		}
	})
}

func TestRace_TwoJoinsUnderOneNickEndInOneConflict(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Global: unhurried})
		s.Login(t, e2e.Who{Token: e2e.Token(t, nil)}).MustJoin("daily", "host")
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, nil)})
		bob := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"jti": "bob"})})
		s.Gate.Hold()
		mustAsk(t, alice, "daily", "same")
		mustAsk(t, bob, "daily", "same")
		mustArrive(t, s, "join", 2)
		s.Gate.Release()
		conflicts := 0
		for _, v := range []*e2e.Visitor{alice, bob} {
			_, err := v.Joined(e2e.Context(t), e2e.Room("daily"))
			var refused *client.StanzaError
			if errors.As(err, &refused) && refused.Condition == "conflict" {
				conflicts++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if conflicts != 1 {
			t.Errorf("%d of two joins under one nick met a conflict, want 1", conflicts)
		}
		if nicks := occupants(t, s)[e2e.Room("daily")]; len(nicks) != 2 {
			t.Errorf("the room holds %v", nicks)
		}
	})
}

func TestRace_ARoomThatIsDestroyedWhileAJoinWaitsKeepsNobody(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Global: unhurried})
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, nil)})
		alice.MustJoin("daily", "alice")
		bob := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"jti": "bob"})})
		s.Gate.Hold()
		mustAsk(t, bob, "daily", "bob")
		mustArrive(t, s, "join", 1)
		s.Lua(t, `prosody.hosts["conference.meet.example.com"].modules.muc
			.get_room_from_jid("daily@conference.meet.example.com"):destroy()`, nil)
		alice.MustExpect("the end of the room", func(e *client.Element) bool {
			return e.Attr("type") == "unavailable" && e.Has("x/destroy")
		})
		s.Gate.Release()
		// The room is gone; bob opens a new one, which is a question of its own.
		if _, err := bob.Joined(e2e.Context(t), e2e.Room("daily")); err != nil {
			t.Fatal(err)
		}
		mustArrive(t, s, "create", 2)
		alice.MustJoin("daily", "alice")
		bob.MustExpect("alice's presence in the new room", presenceOf("daily", "alice"))
		if rooms := occupants(t, s); len(rooms) != 1 || len(rooms[e2e.Room("daily")]) != 2 {
			t.Errorf("the rooms are %v", rooms)
		}
	})
}

func TestRace_AClientThatLeavesWhileItsJoinWaitsBecomesNoGhost(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Global: unhurried})
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, nil)})
		alice.MustJoin("daily", "alice")
		for i, via := range browserTransports {
			bob := s.Login(t, e2e.Who{Via: via, Token: e2e.Token(t, e2e.Claims{"jti": "bob"})})
			s.Gate.Hold()
			mustAsk(t, bob, "daily", "bob")
			mustArrive(t, s, "join", 1+2*i)
			mark := s.Prosody.Log.Mark()
			bob.Close()
			mustLog(t, s, mark, "Unbinding resource for "+bob.JID)
			s.Gate.Release()
			// A later join has been through everything that bob's could still have started.
			carol := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"jti": "carol"})})
			carol.MustJoin("daily", "carol")
			if nicks := strings.Join(occupants(t, s)[e2e.Room("daily")], " "); strings.Contains(nicks, "bob") {
				t.Errorf("by %s the room holds %s", via, nicks)
			}
			if err := carol.Leave(e2e.Context(t), e2e.Room("daily"), "carol"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRace_AClientThatLeavesWhileItsLoginWaitsHarmsNobody(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Global: unhurried})
		s.Gate.Hold()
		bob := s.Connect(t, e2e.Who{Token: e2e.Token(t, nil)})
		bob.MustSend(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>`)
		mustArrive(t, s, "connect", 1)
		mark := s.Prosody.Log.Mark()
		bob.Close()
		mustLog(t, s, mark, "Client disconnected")
		s.Gate.Release()
		s.Login(t, e2e.Who{Token: e2e.Token(t, nil)}).MustJoin("daily", "alice")
	})
}

func TestRace_AJoinThatComesWithoutARunnerIsAnswered(t *testing.T) {
	const host = `Component "focus.meet.example.com"
		component_secret = "of the component"`
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		for _, guests := range []string{"deny", "allow"} {
			s := e2e.Start(t, release, e2e.Setup{
				Hosts: host,
				Profiles: fmt.Sprintf(`  default:
    domain: meet.example.com
    guests: %s
    rooms: {create: allow}
    issuers: [{iss: my-app, keys: [{secret: "%s"}], audiences: [jitsi]}]
`, guests, e2e.Secret),
			})
			s.Login(t, e2e.Who{Token: e2e.Token(t, nil)}).MustJoin("daily", "host")
			component, err := client.DialComponent(e2e.Context(t), s.Prosody.ComponentAddress(), "focus.meet.example.com", "of the component")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(component.Close)
			err = component.Send(e2e.Context(t), `<presence from='focus@focus.meet.example.com/x' to='%s/focus'>`+
				`<x xmlns='http://jabber.org/protocol/muc'/></presence>`, e2e.Room("daily"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = component.Joined(e2e.Context(t), e2e.Room("daily"))
			var refused *client.StanzaError
			if guests == "allow" && err != nil || guests == "deny" && !errors.As(err, &refused) {
				t.Errorf("with guests: %s the join of an external component ended with: %v", guests, err)
			}
		}
	})
}

func mustAsk(t *testing.T, v *e2e.Visitor, room, nick string) {
	t.Helper()
	if err := v.AskToJoin(e2e.Context(t), e2e.Room(room), nick); err != nil {
		t.Fatal(err)
	}
}

func mustLog(t *testing.T, s *e2e.Stack, mark int, text string) {
	t.Helper()
	if _, err := s.Prosody.Log.WaitAfter(e2e.Context(t), mark, text); err != nil {
		t.Fatalf("Prosody never logged %q: %v", text, err)
	}
}

func presenceOf(room, nick string) func(*client.Element) bool {
	from := e2e.Room(room) + "/" + nick
	return func(e *client.Element) bool {
		return e.Name() == "presence" && e.Attr("from") == from && e.Attr("type") == ""
	}
}

// Jitsi's mod_muc_meeting_id holds joins back until the focus is there, and then gives each of them to the room again: in the
// focus's own join.
const lock = `
	module:context("conference.meet.example.com"):hook("muc-occupant-pre-join", function (event)
		if event.room.open then return; end
		if event.stanza.attr.to:match("/focus$") then
			event.room.open = true;
			for _, ev in ipairs(event.room.waiting) do event.room:handle_normal_presence(ev.origin, ev.stanza); end
		else
			event.room.waiting = event.room.waiting or {};
			table.insert(event.room.waiting, event);
			return true;
		end
	end, 8);`

// The room opens in the focus's own join, so what it gives to the room again is others' business: the focus is not asked about,
// waits for nobody's verdict, and what becomes of the room meanwhile is as true for it as before.
func TestRace_AJoinThatSomebodyElseSetsGoingDoesNotHoldHimUp(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Global: unhurried, MUC: `usher_allowlist = { "guest.meet.example.com" }`})
		s.Lua(t, lock, nil)
		var all []*e2e.Visitor
		for i, name := range []string{"alice", "bob"} {
			v := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"jti": name})})
			mustAsk(t, v, "daily", name)
			mustArrive(t, s, []string{"create", "join"}[i], 1)
			if _, err := v.Ping(e2e.Context(t)); err != nil { // its join has been held back
				t.Fatal(err)
			}
			all = append(all, v)
		}
		focus := s.Login(t, e2e.Who{Domain: e2e.GuestDomain})
		s.Gate.Hold()
		mustAsk(t, focus, "daily", "focus")
		mustArrive(t, s, "join", 3) // both are asked about at once
		if _, err := focus.Joined(e2e.Context(t), e2e.Room("daily")); err != nil {
			t.Fatal(err)
		}
		if _, err := focus.Ping(e2e.Context(t)); err != nil {
			t.Errorf("the focus is not served while the others wait: %v", err)
		}
		s.Gate.Release()
		for _, v := range all {
			if _, err := v.Joined(e2e.Context(t), e2e.Room("daily")); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestRace_WhatOthersWaitForInAJoinTakesNoRoomFromIt(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Global: unhurried, MUC: `usher_allowlist = { "guest.meet.example.com" }`})
		s.Lua(t, lock, nil)
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, nil)})
		mustAsk(t, alice, "daily", "alice")
		mustArrive(t, s, "create", 1)
		if _, err := alice.Ping(e2e.Context(t)); err != nil {
			t.Fatal(err)
		}
		focus := s.Login(t, e2e.Who{Domain: e2e.GuestDomain})
		s.Gate.Hold()
		mustAsk(t, focus, "daily", "focus")
		mustArrive(t, s, "join", 1)
		if _, err := focus.Joined(e2e.Context(t), e2e.Room("daily")); err != nil {
			t.Fatal(err)
		}
		s.Gate.Release()
		if _, err := alice.Joined(e2e.Context(t), e2e.Room("daily")); err != nil {
			t.Fatal(err)
		}
		if rooms := occupants(t, s); len(rooms[e2e.Room("daily")]) != 2 {
			t.Errorf("the rooms are %v", rooms)
		}
	})
}

// Whoever is exempt when a join comes need not be when it goes on.
func TestRace_AnExemptJoinThatIsHeldBackIsJudgedWhenItGoesOn(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		s.Lua(t, lock+`
			local authz = prosody.hosts["conference.meet.example.com"].authz;
			prosody.admin = true;
			function authz.get_jid_role() return prosody.admin and { name = "prosody:admin" } or nil; end
			function authz.get_jid_roles() return { ["prosody:admin"] = prosody.admin }; end`, nil)
		admin := s.Login(t, e2e.Who{Domain: e2e.GuestDomain})
		mustAsk(t, admin, "daily", "admin")
		if _, err := admin.Ping(e2e.Context(t)); err != nil { // its join has been held back
			t.Fatal(err)
		}
		s.Lua(t, `prosody.admin = false;`, nil)
		s.Login(t, e2e.Who{Token: e2e.Token(t, nil)}).MustJoin("daily", "focus")
		_, err := admin.Joined(e2e.Context(t), e2e.Room("daily"))
		var refused *client.StanzaError
		if !errors.As(err, &refused) {
			t.Errorf("the join of who is exempt no longer ended with: %v", err)
		}
		mustLog(t, s, 0, "/focus") // what was logged before it is here as well
		if n := strings.Count(s.Prosody.Log.String(), "is exempt from being asked about"); n != 1 {
			t.Errorf("one exempt join was noted %d times", n)
		}
	})
}
