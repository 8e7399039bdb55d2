package dropin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
)

// daily is the Lua expression for the room of these tests.
const daily = `prosody.hosts["conference.meet.example.com"].modules.muc.get_room_from_jid("daily@conference.meet.example.com")`

// with is a token whose context has a room section.
func with(t *testing.T, room e2e.Claims) string {
	t.Helper()
	return e2e.Token(t, e2e.Claims{"context": e2e.Claims{"user": e2e.Claims{"id": "u1"}, "room": room}})
}

func TestDropIn_ATokenSetsAndRemovesTheRoomsPassword(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		password := func() (p string) {
			s.Lua(t, `return `+daily+`:get_password() or "";`, &p)
			return p
		}
		s.Login(t, e2e.Who{Token: with(t, e2e.Claims{"password": "sesame"})}).MustJoin("daily", "setter")
		if got := password(); got != "sesame" {
			t.Errorf("the password is %q", got)
		}
		if refused := s.Login(t, e2e.Who{Token: user(t, "u2")}).MustBeRefused("daily", "late"); refused.Condition != "not-authorized" {
			t.Errorf("without the password: %v", refused)
		}
		s.Login(t, e2e.Who{Token: with(t, e2e.Claims{"password": "", "security_bypass": true})}).MustJoin("daily", "remover")
		if got := password(); got != "" {
			t.Errorf("the password is still %q", got)
		}
	})
}

// Lobby rooms are made by Jitsi's own plugin; usher fires its events.
func TestDropIn_ATokenTurnsTheLobbyOnAndOff(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Lua(t, `prosody.lobby = {};
			prosody.events.add_handler("create-lobby-room", function (event)
				event.room._data.lobbyroom = "lobby"; prosody.lobby[#prosody.lobby + 1] = "on";
			end);
			prosody.events.add_handler("destroy-lobby-room", function (event)
				event.room._data.lobbyroom = nil; prosody.lobby[#prosody.lobby + 1] = "off";
			end);`, nil)
		for i, lobby := range []any{true, nil, "true", false, false} {
			room := e2e.Claims{}
			if lobby != nil {
				room["lobby"] = lobby
			}
			s.Login(t, e2e.Who{Token: with(t, room)}).MustJoin("daily", fmt.Sprint("n", i))
		}
		var got []string
		s.Lua(t, `return prosody.lobby;`, &got)
		if fmt.Sprint(got) != "[on off]" {
			t.Errorf("the lobby went %v", got)
		}
	})
}

func TestDropIn_SecurityBypassEntersPastPasswordAndMembersOnly(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Login(t, e2e.Who{Token: user(t, "host")}).MustJoin("daily", "host")
		s.Lua(t, daily+`:set_password("sesame"); `+daily+`:set_members_only(true);`, nil)
		s.Login(t, e2e.Who{Token: user(t, "plain")}).MustBeRefused("daily", "plain")
		s.Login(t, e2e.Who{Token: with(t, e2e.Claims{"security_bypass": "yes"})}).MustBeRefused("daily", "nearly")
		s.Login(t, e2e.Who{Token: with(t, e2e.Claims{"security_bypass": true})}).MustJoin("daily", "bypass")
		inUser := e2e.Token(t, e2e.Claims{"context": e2e.Claims{"user": e2e.Claims{"id": "u3", "security_bypass": true}}})
		s.Login(t, e2e.Who{Token: inUser}).MustJoin("daily", "as upstream has it")
	})
}

// At a join under a nick that is taken, Prosody hands its hooks the occupant who has it.
func TestDropIn_AJoinUnderAnothersNickGivesAndTakesThemNothing(t *testing.T) {
	token := func(t *testing.T, id string, moderator bool) string {
		return e2e.Token(t, e2e.Claims{"context": e2e.Claims{"user": e2e.Claims{"id": id, "moderator": moderator}, "room": e2e.Claims{"security_bypass": true}}})
	}
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		for _, owns := range []bool{true, false} {
			nick := fmt.Sprint("owner-", owns)
			alice := s.Login(t, e2e.Who{Token: token(t, "alice", owns)})
			alice.MustJoin("daily", nick)
			mallory := s.Login(t, e2e.Who{Token: token(t, "mallory", !owns)})
			if refused := mallory.MustBeRefused("daily", nick); refused.Condition != "conflict" {
				t.Errorf("a taken nick was refused with: %v", refused)
			}
			awaitAffiliation(t, s, alice.JID, map[bool]string{true: "owner", false: "member"}[owns])
			awaitAffiliation(t, s, mallory.JID, "none")
		}
	})
}

// What a token gives is for who enters: an owner who was refused could read the password in the room's form.
func TestDropIn_WhoIsRefusedForThePasswordIsGivenNothing(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Login(t, e2e.Who{Token: with(t, e2e.Claims{"password": "sesame"})}).MustJoin("daily", "host")
		moderator := e2e.Token(t, e2e.Claims{"context": e2e.Claims{"user": e2e.Claims{"id": "u2", "moderator": true}}})
		for becomes, token := range map[string]string{"owner": moderator, "member": user(t, "u3")} {
			v := s.Login(t, e2e.Who{Token: token})
			v.MustBeRefused("daily", "late")
			awaitAffiliation(t, s, v.JID, "none")
			if _, err := v.Request(e2e.Context(t), e2e.Room("daily"), "get", `<query xmlns='http://jabber.org/protocol/muc#owner'/>`); err == nil {
				t.Error("it was shown the room's form")
			}
			v.MustSend(`<presence xmlns='jabber:client' to='%s/%s'><x xmlns='http://jabber.org/protocol/muc'><password>sesame</password></x></presence>`,
				e2e.Room("daily"), becomes)
			if _, err := v.Joined(e2e.Context(t), e2e.Room("daily")); err != nil {
				t.Errorf("with the password: %v", err)
			}
			awaitAffiliation(t, s, v.JID, becomes)
		}
		// As Jitsi's mod_muc_password_whitelist does.
		s.Lua(t, `prosody.hosts["conference.meet.example.com"].events.add_handler("muc-occupant-pre-join", function (event)
			event.stanza:get_child("x", "http://jabber.org/protocol/muc"):text_tag("password", "sesame", { xmlns = "http://jabber.org/protocol/muc" });
		end, -7);`, nil)
		v := s.Login(t, e2e.Who{Token: moderator})
		v.MustJoin("daily", "listed")
		awaitAffiliation(t, s, v.JID, "owner")
	})
}

// Prosody refuses at the very end whoever comes before the room's creator has set it up: as its owner he could set it up himself.
func TestDropIn_WhoIsRefusedForALockIsGivenNothing(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Login(t, e2e.Who{Token: user(t, "host")}).MustJoin("daily", "host")
		s.Lua(t, daily+`._data.locked = os.time() + 300;`, nil)
		for _, bypass := range []bool{false, true} {
			v := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"context": e2e.Claims{
				"user": e2e.Claims{"id": "u2", "moderator": true}, "room": e2e.Claims{"security_bypass": bypass}}})})
			if refused := v.MustBeRefused("daily", "early"); refused.Condition != "item-not-found" {
				t.Errorf("a locked room was refused with: %v", refused)
			}
			awaitAffiliation(t, s, v.JID, "none")
		}
	})
}

// Whom usher has settled before the lobby's gate is not settled again after the password's.
func TestDropIn_AnAffiliationThatAnotherModuleChoseStays(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Login(t, e2e.Who{Token: user(t, "host")}).MustJoin("daily", "host")
		s.Lua(t, `prosody.hosts["conference.meet.example.com"].events.add_handler("muc-occupant-pre-join", function (event)
			event.room:set_affiliation(true, event.occupant.bare_jid, "owner");
		end, -10);`, nil)
		v := s.Login(t, e2e.Who{Token: user(t, "u2")})
		v.MustJoin("daily", "chosen")
		awaitAffiliation(t, s, v.JID, "owner")
	})
}

// Jitsi's mod_fmuc makes visitors of those who watch a meeting from a Prosody beside the main one.
func TestDropIn_ARoleThatAnotherModuleChoseStays(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Login(t, e2e.Who{Token: user(t, "host")}).MustJoin("daily", "host")
		s.Lua(t, `prosody.hosts["conference.meet.example.com"].events.add_handler("muc-occupant-pre-join", function (event)
			event.occupant.role = "visitor";
		end, 3);`, nil)
		for _, moderator := range []bool{false, true} {
			token := e2e.Token(t, e2e.Claims{"context": e2e.Claims{"user": e2e.Claims{"id": "u1", "moderator": moderator}}})
			self := s.Login(t, e2e.Who{Token: token}).MustJoin("daily", fmt.Sprint("moderator-", moderator))
			if got := self.Find("x/item").Attr("role"); got != "visitor" {
				t.Errorf("moderator %v: usher made a %s of the visitor", moderator, got)
			}
		}
	})
}

// Where Jitsi's module is loaded, the work is left to it.
func TestDropIn_JitsisModulesAreLeftTheirWork(t *testing.T) {
	folder := t.TempDir()
	for _, module := range []string{"token_affiliation", "token_security_ondemand"} {
		if err := os.WriteFile(filepath.Join(folder, "mod_"+module+".lua"), []byte("-- in its place"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	setup := e2e.Setup{PluginPaths: []string{folder}, MUCModules: []string{"token_affiliation", "token_security_ondemand"}}
	each(t, setup, func(t *testing.T, s *e2e.Stack) {
		owner := e2e.Token(t, e2e.Claims{"context": e2e.Claims{
			"user": e2e.Claims{"id": "u1", "moderator": true}, "room": e2e.Claims{"password": "sesame"}}})
		s.Login(t, e2e.Who{Token: user(t, "first")}).MustJoin("daily", "first")
		self := s.Login(t, e2e.Who{Token: owner}).MustJoin("daily", "me")
		if got := self.Find("x/item").Attr("affiliation"); got != "none" {
			t.Errorf("usher made its user %q", got)
		}
		var password string
		s.Lua(t, `return `+daily+`:get_password() or "";`, &password)
		if password != "" {
			t.Error("usher set the password")
		}
	})
}
