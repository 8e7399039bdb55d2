package dropin_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
)

// awaitSeat waits until a session sits in a room under a nick; under none: until it sits there no longer.
func awaitSeat(t *testing.T, s *e2e.Stack, room, jid, nick string) {
	t.Helper()
	var seen string
	for ctx := e2e.Context(t); ctx.Err() == nil; {
		s.Lua(t, fmt.Sprintf(`local room = prosody.hosts["conference.meet.example.com"].modules.muc.get_room_from_jid(%q);
			local occupant = room and room:get_occupant_by_real_jid(%q);
			return occupant and require "util.jid".resource(occupant.nick) or "";`, e2e.Room(room), jid), &seen)
		if seen == nick {
			return
		}
	}
	t.Errorf("%s sits in %s as %q, want %q", jid, room, seen, nick)
}

// returning resumes a session with a token and goes on with it.
func returning(t *testing.T, s *e2e.Stack, token, id string) *e2e.Visitor {
	t.Helper()
	v := s.Connect(t, e2e.Who{Token: token, Query: url.Values{"previd": {id}}})
	if err := v.Authenticate(e2e.Context(t)); err != nil {
		t.Fatal(err)
	}
	v.MustSend(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>`, id)
	return v
}

// moderating is a token of alice's for a room, with or without what makes her its owner.
func moderating(t *testing.T, room, jti string, moderator bool) string {
	t.Helper()
	return e2e.Token(t, e2e.Claims{"jti": jti, "room": room, "context": e2e.Claims{"user": e2e.Claims{"id": "alice", "moderator": moderator}}})
}

// bots are exempt, though they log in by a token, and it is for another room.
var bots = e2e.Setup{MUC: `usher_allowlist = { "bots.example.com" }`, Hosts: `VirtualHost "bots.example.com" authentication = "usher"`}

func TestSeat_TheExemptAreNotAskedAboutWhenTheyComeBack(t *testing.T) {
	each(t, bots, func(t *testing.T, s *e2e.Stack) {
		bot := s.Login(t, e2e.Who{Domain: "bots.example.com", Token: mine(t, "another", "first")})
		id := enable(bot)
		bot.MustJoin("daily", "bot")
		bot.Close()
		if answer := resume(t, s, "bots.example.com", mine(t, "another", "first"), id); answer != "resumed" {
			t.Fatalf("the resumption %s", answer)
		}
		s.Login(t, e2e.Who{Token: user(t, "later")}).MustJoin("daily", "later")
		awaitSeat(t, s, "daily", bot.JID, "bot")
		for _, q := range s.Gate.Questions() {
			if q.Stage == "recheck" {
				t.Errorf("the verifier was asked about its seat in %s", q.Room)
			}
		}
	})
}

func TestSeat_TheExemptKeepItWhenTheModuleIsLoadedAnew(t *testing.T) {
	each(t, bots, func(t *testing.T, s *e2e.Stack) {
		bot := s.Login(t, e2e.Who{Domain: "bots.example.com", Token: mine(t, "another", "first")})
		bot.MustJoin("daily", "bot")
		s.Lua(t, `assert(require "core.modulemanager".reload("bots.example.com", "auth_usher"));`, nil)
		asked, err := s.Gate.Arrived(e2e.Context(t), "recheck", 1)
		if err != nil {
			t.Fatal(err)
		}
		if asked[0].Room != "" {
			t.Errorf("the verifier was asked about its seat in %s", asked[0].Room)
		}
		s.Login(t, e2e.Who{Token: user(t, "later")}).MustJoin("daily", "later")
		awaitSeat(t, s, "daily", bot.JID, "bot")
	})
}

// Nor does it cost the one his seat who has taken the old nick meanwhile.
func TestSeat_AnotherNickDoesNotSaveIt(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Login(t, e2e.Who{Token: user(t, "host")}).MustJoin("daily", "host")
		bob := s.Login(t, e2e.Who{Token: user(t, "bob")})
		bob.MustJoin("daily", "bob")
		alice := s.Login(t, e2e.Who{Token: mine(t, "daily", "first")})
		id := enable(alice)
		alice.MustJoin("daily", "alice")
		alice.Close()
		s.Gate.HoldAnswers("recheck")
		back := returning(t, s, mine(t, "weekly", "second"), id)
		back.MustSend(`<presence xmlns='jabber:client' to='%s/other'/>`, e2e.Room("daily"))
		awaitSeat(t, s, "daily", alice.JID, "other")
		bob.MustSend(`<presence xmlns='jabber:client' to='%s/alice'/>`, e2e.Room("daily"))
		awaitSeat(t, s, "daily", bob.JID, "alice")
		s.Gate.Release()
		awaitSeat(t, s, "daily", alice.JID, "")
		awaitSeat(t, s, "daily", bob.JID, "alice")
	})
}

// A moderator of daily comes back with a member's token.
func TestSeat_WhatATokenGaveGoesWithTheToken(t *testing.T) {
	for room, refused := range map[string]string{"weekly": "", "daily": "alice"} {
		t.Run(room, func(t *testing.T) {
			each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
				host := s.Login(t, e2e.Who{Token: user(t, "host")})
				host.MustJoin("daily", "host")
				alice := s.Login(t, e2e.Who{Token: moderating(t, "daily", "first", true)})
				id := enable(alice)
				alice.MustJoin("daily", "alice")
				awaitAffiliation(t, s, alice.JID, "owner")
				alice.Close()
				back := returning(t, s, moderating(t, room, "second", false), id)
				awaitSeat(t, s, "daily", alice.JID, refused)
				awaitAffiliation(t, s, alice.JID, map[string]string{"daily": "member", "weekly": "none"}[room])
				if _, err := back.Request(e2e.Context(t), e2e.Room("daily"), "set",
					`<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>`); err == nil {
					t.Error("she destroyed the room all the same")
				}
			})
		})
	}
}

// awaitAffiliation waits until a user is that in daily.
func awaitAffiliation(t *testing.T, s *e2e.Stack, jid, affiliation string) {
	t.Helper()
	var seen string
	for ctx := e2e.Context(t); ctx.Err() == nil; {
		s.Lua(t, fmt.Sprintf(`return prosody.hosts["conference.meet.example.com"].modules.muc.get_room_from_jid(%q):get_affiliation(%q) or "none";`,
			e2e.Room("daily"), jid), &seen)
		if seen == affiliation {
			return
		}
	}
	t.Errorf("%s is %s of daily, want %s", jid, seen, affiliation)
}

// Usernames are random: what stayed behind for each would be carried, and stored, for as long as the room is there.
func TestSeat_WhatATokenGaveGoesWithTheSession(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Login(t, e2e.Who{Token: user(t, "host")}).MustJoin("daily", "host")
		alice := s.Login(t, e2e.Who{Token: mine(t, "daily", "first")})
		alice.MustJoin("daily", "alice")
		awaitAffiliation(t, s, alice.JID, "member")
		if err := alice.Leave(e2e.Context(t), e2e.Room("daily"), "alice"); err != nil {
			t.Fatal(err)
		}
		awaitAffiliation(t, s, alice.JID, "member") // she may come back from a breakout room
		alice.Close()
		awaitAffiliation(t, s, alice.JID, "none")
	})
}

func TestSeat_AJoinThatWaitsIsJudgedByTheTokenThatItsSessionCameBackWith(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Login(t, e2e.Who{Token: user(t, "host")}).MustJoin("daily", "host")
		alice := s.Login(t, e2e.Who{Token: mine(t, "daily", "first")})
		id := enable(alice)
		s.Gate.HoldAnswers("join")
		if err := alice.AskToJoin(e2e.Context(t), e2e.Room("daily"), "alice"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Gate.Arrived(e2e.Context(t), "join", 1); err != nil {
			t.Fatal(err)
		}
		alice.Close()
		if answer := resume(t, s, "", mine(t, "weekly", "second"), id); answer != "resumed" {
			t.Fatalf("the resumption %s", answer)
		}
		s.Gate.Release()
		if _, err := s.Gate.Arrived(e2e.Context(t), "join", 2); err != nil {
			t.Fatalf("the join was not judged again: %v", err)
		}
		s.Login(t, e2e.Who{Token: user(t, "later")}).MustJoin("daily", "later")
		awaitSeat(t, s, "daily", alice.JID, "")
	})
}

// Somebody with a token for any room may open one after another all day: what was given there goes with each room.
func TestSeat_NothingIsRememberedOfRoomsThatAreGone(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		alice := s.Login(t, e2e.Who{Token: user(t, "alice")})
		for i := range 20 {
			room := fmt.Sprintf("room%d", i)
			alice.MustJoin(room, "alice")
			if err := alice.Leave(e2e.Context(t), e2e.Room(room), "alice"); err != nil {
				t.Fatal(err)
			}
		}
		alice.MustJoin("daily", "alice")
		var kept int
		s.Lua(t, fmt.Sprintf(`local n = 0;
			for _ in pairs(prosody.full_sessions[%q].usher_given) do n = n + 1; end
			return n;`, alice.JID), &kept)
		if kept != 1 {
			t.Errorf("the session holds %d rooms, and sits in one", kept)
		}
	})
}

// Jitsi's mod_muc_domain_mapper turns the name that a client has for a tenant's room into the room's own. It does so at the
// priority at which Prosody notes where a session's presence went (-1), and which of the two comes first is chance: a hash of
// addresses. Here Prosody always comes first.
const mapper = `module:context("meet.example.com"):hook("pre-presence/full", function (event)
	local name, nick = event.stanza.attr.to:match("^(.-)@conference%.acme%.meet%.example%.com/(.*)$");
	if name then event.stanza.attr.to = "[acme]" .. name .. "@conference.meet.example.com/" .. nick; end
end, -1);`

func TestSeat_IsLeftInATenantsRoomByWhateverNameItWasJoined(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Lua(t, mapper, nil)
		acme := func(room, jti string) string {
			return e2e.Token(t, e2e.Claims{"sub": "acme", "room": room, "jti": jti, "context": e2e.Claims{"user": e2e.Claims{"id": "alice"}}})
		}
		s.Login(t, e2e.Who{Token: acme("daily", "host")}).MustJoin("[acme]daily", "host")
		alice := s.Login(t, e2e.Who{Token: acme("daily", "first")})
		id := enable(alice)
		alice.MustSend(`<presence xmlns='jabber:client' to='daily@conference.acme.meet.example.com/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>`)
		alice.MustExpect("the own presence", func(e *client.Element) bool { return e.HasStatus("110") })
		awaitSeat(t, s, "[acme]daily", alice.JID, "alice")
		alice.Close()
		returning(t, s, acme("weekly", "second"), id)
		awaitSeat(t, s, "[acme]daily", alice.JID, "")
	})
}

func TestSeat_OfATenantsRoomIsForgottenWhenItIsLeft(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Lua(t, mapper, nil)
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"sub": "acme"})})
		for _, room := range []string{"daily", "weekly"} {
			alice.MustSend(`<presence xmlns='jabber:client' to='%s@conference.acme.meet.example.com/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, room)
			alice.MustExpect("the own presence", func(e *client.Element) bool { return e.HasStatus("110") })
			alice.MustSend(`<presence xmlns='jabber:client' type='unavailable' to='%s@conference.acme.meet.example.com/alice'/>`, room)
			alice.MustExpect("the own leave", func(e *client.Element) bool { return e.HasStatus("110") })
		}
		var noted string
		s.Lua(t, `local noted = {}; for _, session in pairs(prosody.full_sessions) do
			for address in pairs(session.directed or {}) do noted[#noted + 1] = address; end end return table.concat(noted, " ");`, &noted)
		if noted != "" {
			t.Errorf("the session still has %s", noted)
		}
	})
}

// A moderator of daily sits in a breakout room of it, or in no room at all, and comes back with another token.
func TestSeat_WhatATokenGaveInARoomThatWasLeftGoesWithTheTokenToo(t *testing.T) {
	for name, c := range map[string]struct {
		breakout      bool
		room, becomes string
	}{
		"in a breakout room, and a member": {true, "daily", "member"},
		"in a breakout room, and nobody":   {true, "weekly", "none"},
		"in no room, and nobody":           {false, "weekly", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, breakoutSetup, func(t *testing.T, s *e2e.Stack) {
				host := s.Login(t, e2e.Who{Token: user(t, "host")})
				host.MustJoin("daily", "host")
				alice := s.Login(t, e2e.Who{Token: moderating(t, "daily", "first", true)})
				id := enable(alice)
				alice.MustJoin("daily", "alice")
				if c.breakout {
					alice.MustJoin(breakout, "alice")
				}
				if err := alice.Leave(e2e.Context(t), e2e.Room("daily"), "alice"); err != nil {
					t.Fatal(err)
				}
				awaitAffiliation(t, s, alice.JID, "owner")
				alice.Close()
				back := returning(t, s, moderating(t, c.room, "second", false), id)
				awaitAffiliation(t, s, alice.JID, c.becomes)
				if _, err := back.Request(e2e.Context(t), e2e.Room("daily"), "set",
					`<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>`); err == nil {
					t.Error("she destroyed the room all the same")
				}
			})
		})
	}
}

// Jitsi's mod_fmuc has made a visitor of her, whatever her token gives.
func TestSeat_AVisitorWhoComesBackWithAnotherTokenRemainsOne(t *testing.T) {
	for was, becomes := range map[bool]string{true: "member", false: "owner"} {
		t.Run("becomes "+becomes, func(t *testing.T) {
			each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
				host := s.Login(t, e2e.Who{Token: user(t, "host")})
				host.MustJoin("daily", "host")
				s.Lua(t, `prosody.hosts["conference.meet.example.com"].events.add_handler("muc-occupant-pre-join", function (event)
					event.occupant.role = "visitor";
				end, 3);`, nil)
				alice := s.Login(t, e2e.Who{Token: moderating(t, "daily", "first", was)})
				id := enable(alice)
				alice.MustJoin("daily", "alice")
				alice.Close()
				returning(t, s, moderating(t, "daily", "second", !was), id)
				awaitAffiliation(t, s, alice.JID, becomes)
				host.MustExpect("alice to be a visitor with other rights", func(e *client.Element) bool {
					item := e.Find("x/item")
					return e.Attr("from") == e2e.Room("daily")+"/alice" && item != nil && item.Attr("affiliation") == becomes && item.Attr("role") == "visitor"
				})
				var role string
				s.Lua(t, fmt.Sprintf(`return prosody.hosts["conference.meet.example.com"].modules.muc.get_room_from_jid(%q):get_role(%q);`,
					e2e.Room("daily"), e2e.Room("daily")+"/alice"), &role)
				if role != "visitor" {
					t.Errorf("alice is a %s", role)
				}
			})
		})
	}
}

// One person, two devices: what her token gave goes when the last of them has gone, whichever that is.
func TestSeat_WhatATokenGaveGoesWithTheLastDevice(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Login(t, e2e.Who{Token: user(t, "host")}).MustJoin("daily", "host")
		alice := s.Login(t, e2e.Who{Token: moderating(t, "daily", "first", true)})
		id := enable(alice)
		alice.MustJoin("daily", "alice")
		other := s.Login(t, e2e.Who{Token: moderating(t, "daily", "second", true), Query: url.Values{"previd": {id}}})
		other.MustJoin("daily", "alice")
		awaitAffiliation(t, s, other.JID, "owner")
		if err := alice.Send(e2e.Context(t), `<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>`); err != nil {
			t.Fatal(err)
		}
		_ = alice.Ended(e2e.Context(t))
		awaitSeat(t, s, "daily", alice.JID, "")
		awaitAffiliation(t, s, other.JID, "owner")
		other.Close()
		awaitSeat(t, s, "daily", other.JID, "")
		awaitAffiliation(t, s, other.JID, "none")
	})
}

// The verdict is waited for where the sender's stanzas wait their turn behind it: also on a stream that was resumed.
func TestSeat_WhoLeavesBeforeTheVerdictIsOutsideInTheEnd(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		host := s.Login(t, e2e.Who{Token: user(t, "host")})
		host.MustJoin("daily", "host")
		for i, resumed := range []bool{false, true} {
			alice := s.Login(t, e2e.Who{Token: user(t, "alice")})
			jid := alice.JID
			if resumed {
				id := enable(alice)
				alice.Close()
				alice = returning(t, s, user(t, "alice"), id)
				alice.MustExpect("the resumption", inStreamManagement("resumed"))
			}
			s.Gate.Hold()
			alice.MustSend(`<presence xmlns='jabber:client' to='%s/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, e2e.Room("daily"))
			alice.MustSend(`<presence xmlns='jabber:client' type='unavailable' to='%s/alice'/>`, e2e.Room("daily"))
			if _, err := s.Gate.Arrived(e2e.Context(t), "join", i+1); err != nil {
				t.Fatal(err)
			}
			s.Gate.Release()
			host.MustExpect("alice to go", leaves("alice"))
			awaitSeat(t, s, "daily", jid, "")
		}
	})
}
