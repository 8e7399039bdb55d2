package dropin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
)

// Hosts beside ours. The first has tokens of its own, and a module that looks at all sessions, as Jitsi's does.
const neighbours = `
	VirtualHost "foreign.example.com"
		authentication = "e2e_foreign"
		e2e_foreign_token = "of-the-foreigner"
	VirtualHost "password.example.com"
		authentication = "internal_plain"`

// mustBeAlive sees that a session is still the one that it was, from inside and from outside.
func mustBeAlive(t *testing.T, s *e2e.Stack, v *e2e.Visitor, jid string) {
	t.Helper()
	var mark string
	s.Lua(t, fmt.Sprintf(`local session = prosody.full_sessions[%q]; return session and session.e2e_mark or "gone";`, jid), &mark)
	if mark != "kept" {
		t.Errorf("the session of %s is %s", jid, mark)
	}
	if _, err := v.Ping(e2e.Context(t)); err != nil {
		t.Errorf("the session of %s does not answer: %v", jid, err)
	}
}

func mark(t *testing.T, s *e2e.Stack, jid string) {
	t.Helper()
	s.Lua(t, fmt.Sprintf(`prosody.full_sessions[%q].e2e_mark = "kept";`, jid), nil)
}

// comeBack resumes a session that has just authenticated.
func comeBack(v *e2e.Visitor, id string) string {
	v.MustSend(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>`, id)
	return v.MustExpect("an answer to the resumption", func(e *client.Element) bool {
		return inStreamManagement("resumed")(e) || inStreamManagement("failed")(e)
	}).Name()
}

func TestDropIn_ASessionIsResumedBesideATokenHostThatJudgesAllSessions(t *testing.T) {
	each(t, e2e.Setup{Hosts: neighbours}, func(t *testing.T, s *e2e.Stack) {
		alice := s.Login(t, e2e.Who{Token: mine(t, "daily", "first")})
		id := enable(alice)
		mark(t, s, alice.JID)
		alice.Close()
		again := s.Connect(t, e2e.Who{Token: mine(t, "daily", "second"), Query: map[string][]string{"previd": {id}}})
		if err := again.Authenticate(e2e.Context(t)); err != nil {
			t.Fatal(err)
		}
		if answer := comeBack(again, id); answer != "resumed" {
			t.Fatalf("the resumption %s", answer)
		}
		mustBeAlive(t, s, again, alice.JID)
		var login bool
		s.Lua(t, fmt.Sprintf(`return prosody.full_sessions[%q].auth_token ~= nil;`, alice.JID), &login)
		if !login {
			t.Error("the resumed session no longer counts as logged in")
		}
	})
}

func TestDropIn_AnotherTokenHostKeepsItsLoginsAndResumptions(t *testing.T) {
	const host, token = "foreign.example.com", "of-the-foreigner"
	each(t, e2e.Setup{Hosts: neighbours}, func(t *testing.T, s *e2e.Stack) {
		if refused := s.MustRefuseLogin(t, e2e.Who{Domain: host, Token: user(t, "u1")}); refused.Condition != "not-authorized" {
			t.Errorf("our token was refused there with <%s/>", refused.Condition)
		}
		v := s.Login(t, e2e.Who{Domain: host, Token: token})
		id := enable(v)
		mark(t, s, v.JID)
		v.Close()
		again := s.Connect(t, e2e.Who{Domain: host, Token: token})
		if err := again.Authenticate(e2e.Context(t)); err != nil {
			t.Fatal(err)
		}
		if answer := comeBack(again, id); answer != "resumed" {
			t.Fatalf("the resumption %s", answer)
		}
		mustBeAlive(t, s, again, v.JID)
		if asked := s.Gate.Questions(); len(asked) != 0 {
			t.Errorf("the verifier was asked about another host's sessions: %s", asked[0].Body)
		}
	})
}

func TestDropIn_APasswordHostKeepsItsLoginsAndResumptions(t *testing.T) {
	const host = "password.example.com"
	each(t, e2e.Setup{Hosts: neighbours}, func(t *testing.T, s *e2e.Stack) {
		s.Lua(t, `assert(require "core.usermanager".create_user("bob", "sesame", "password.example.com"));`, nil)
		login := func() *e2e.Visitor {
			v := s.Connect(t, e2e.Who{Domain: host, Via: e2e.TCP})
			v.MustExpect("features", func(e *client.Element) bool { return e.Name() == "features" })
			if err := v.AuthenticateBy(e2e.Context(t), "PLAIN", "\x00bob\x00sesame"); err != nil {
				t.Fatal(err)
			}
			return v
		}
		v := login()
		if err := v.Bind(e2e.Context(t)); err != nil {
			t.Fatal(err)
		}
		id := enable(v)
		mark(t, s, v.JID)
		v.Close()
		again := login()
		if answer := comeBack(again, id); answer != "resumed" {
			t.Fatalf("the resumption %s", answer)
		}
		mustBeAlive(t, s, again, v.JID)
		if asked := s.Gate.Questions(); len(asked) != 0 {
			t.Errorf("the verifier was asked about another host's sessions: %s", asked[0].Body)
		}
	})
}

// Prosody hands whatever names it to a host, whoever sent it. To be nobody there is no reason to take over a guest's username.
func TestDropIn_AResumptionIsSoughtForTheHostsOwnSessionsAlone(t *testing.T) {
	each(t, e2e.Setup{Profiles: guestsWelcome, Hosts: neighbours}, func(t *testing.T, s *e2e.Stack) {
		s.Lua(t, `assert(require "core.usermanager".create_user("bob", "sesame", "password.example.com"));`, nil)
		id := enable(s.Login(t, e2e.Who{}))
		v := s.Connect(t, e2e.Who{Domain: "password.example.com", Via: e2e.TCP})
		v.MustExpect("features", func(e *client.Element) bool { return e.Name() == "features" })
		if err := v.AuthenticateBy(e2e.Context(t), "PLAIN", "\x00bob\x00sesame"); err != nil {
			t.Fatal(err)
		}
		v.MustSend(`<resume xmlns='urn:xmpp:sm:3' to='meet.example.com' h='0' previd='%s'/>`, id)
		v.MustExpect("a failure", inStreamManagement("failed"))
		if err := v.Bind(e2e.Context(t)); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(v.JID, "bob@password.example.com/") {
			t.Errorf("bob became %s", v.JID)
		}
	})
}

// What Prosody's shell lists and mod_announce sends to are a host's users; where there are none to tell of, both throw.
func TestDropIn_AnAdminIsToldWhoIsHere(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		alice := s.Login(t, e2e.Who{Token: user(t, "alice")})
		var users []string
		s.Lua(t, `local names = {};
			for name in require "core.usermanager".users("meet.example.com") do names[#names + 1] = name; end
			return names;`, &users)
		if name, _, _ := strings.Cut(alice.JID, "@"); !slices.Equal(users, []string{name}) {
			t.Errorf("the users are %q, want %s", users, name)
		}
	})
}
