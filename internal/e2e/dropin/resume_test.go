package dropin_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
)

const streamManagement = "urn:xmpp:sm:3"

// enable asks for a session that can be resumed (XEP-0198), and gives its id.
func enable(v *e2e.Visitor) string {
	v.MustSend(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`)
	return v.MustExpect("an id to resume by", inStreamManagement("enabled")).Attr("id")
}

func inStreamManagement(name string) func(*client.Element) bool {
	return func(e *client.Element) bool { return e.XMLName.Space == streamManagement && e.Name() == name }
}

// resume comes back to a session with a token, and gives what the server says to it: resumed or failed.
func resume(t *testing.T, s *e2e.Stack, domain, token, id string) string {
	t.Helper()
	v := s.Connect(t, e2e.Who{Domain: domain, Token: token, Query: url.Values{"previd": {id}}})
	if err := v.Authenticate(e2e.Context(t)); err != nil {
		t.Fatal(err)
	}
	v.MustSend(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>`, id)
	answer := v.MustExpect("an answer to the resumption", func(e *client.Element) bool {
		return e.XMLName.Space == streamManagement && (e.Name() == "resumed" || e.Name() == "failed")
	})
	return answer.Name()
}

// mine is a token of one user for one room.
func mine(t *testing.T, room, jti string) string {
	t.Helper()
	return e2e.Token(t, e2e.Claims{"jti": jti, "room": room, "context": e2e.Claims{
		"user": e2e.Claims{"id": "alice"}, "group": jti,
	}})
}

// On 0.12 upstream keeps the old token's fields.
func TestDropIn_AResumedSessionHasTheFieldsOfItsNewToken(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		host := s.Login(t, e2e.Who{Token: user(t, "host")})
		host.MustJoin("daily", "host")
		alice := s.Login(t, e2e.Who{Token: mine(t, "daily", "first")})
		id := enable(alice)
		alice.MustJoin("daily", "alice")
		alice.Close()
		if answer := resume(t, s, "", mine(t, "daily", "second"), id); answer != "resumed" {
			t.Fatalf("the same user with a new token: %s", answer)
		}
		var group string
		s.Lua(t, fmt.Sprintf(`return prosody.full_sessions[%q].jitsi_meet_context_group;`, alice.JID), &group)
		if group != "second" {
			t.Errorf("the session has the fields of the %s token", group)
		}
	})
}

// On 13 upstream takes the new token over and forgets the seat that the old one opened.
func TestDropIn_AResumedSessionLeavesARoomThatItsNewTokenDoesNotOpen(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		host := s.Login(t, e2e.Who{Token: user(t, "host")})
		host.MustJoin("daily", "host")
		alice := s.Login(t, e2e.Who{Token: mine(t, "daily", "first")})
		id := enable(alice)
		alice.MustJoin("daily", "alice")
		alice.Close()
		resume(t, s, "", mine(t, "weekly", "second"), id)
		host.MustExpect("alice to leave the room", func(e *client.Element) bool {
			return e.Name() == "presence" && e.Attr("type") == "unavailable" && strings.HasSuffix(e.Attr("from"), "/alice")
		})
	})
}

// On 13 upstream lets every token host judge a session that is resumed on any of them, by keys that are not its own.
func TestDropIn_AResumptionOnOneHostIsNothingToAnother(t *testing.T) {
	const second = `  second.example.com:
    issuers: [{iss: my-app, keys: [{secret: "the secret of the second host, another one"}], audiences: [jitsi], subjects: ["*"]}]
`
	setup := e2e.Setup{Profiles: e2e.DefaultProfiles + second, Hosts: `VirtualHost "second.example.com" authentication = "usher"`}
	each(t, setup, func(t *testing.T, s *e2e.Stack) {
		alice := s.Login(t, e2e.Who{Token: mine(t, "daily", "first")})
		id := enable(alice)
		alice.Close()
		if answer := resume(t, s, "", mine(t, "daily", "first"), id); answer != "resumed" {
			t.Fatalf("resumption on its own host: %s", answer)
		}
		var open bool
		s.Lua(t, fmt.Sprintf(`return prosody.full_sessions[%q] ~= nil;`, alice.JID), &open)
		if !open {
			t.Error("another host closed the session")
		}
		for _, q := range s.Gate.Questions() {
			if q.Host != e2e.Domain {
				t.Errorf("%s asked about a session of another host", q.Host)
			}
		}
	})
}

// Jitsi's mod_jitsi_permissions writes a moderator's features on the session of a guest whom he makes one.
func TestDropIn_AGuestWhoComesBackKeepsTheFeaturesLentToHim(t *testing.T) {
	each(t, e2e.Setup{Profiles: guestsWelcome}, func(t *testing.T, s *e2e.Stack) {
		guest := s.Login(t, e2e.Who{})
		id := enable(guest)
		s.Lua(t, fmt.Sprintf(`prosody.full_sessions[%q].jitsi_meet_context_features = { recording = true };`, guest.JID), nil)
		guest.Close()
		if answer := resume(t, s, "", "", id); answer != "resumed" {
			t.Fatalf("the resumption %s", answer)
		}
		var kept bool
		s.Lua(t, fmt.Sprintf(`return (prosody.full_sessions[%q].jitsi_meet_context_features or {}).recording == true;`, guest.JID), &kept)
		if !kept {
			t.Error("the features are gone")
		}
	})
}

// SASL2 resumes within the login. While that waits, Prosody reads no more from its connection, and lets it go on by the session
// that has meanwhile lost it. Only the newer Prosody resumes for another module than its own.
func TestDropIn_ASessionThatIsResumedWithinALoginIsHeard(t *testing.T) {
	t.Parallel()
	releases, err := prosody.Releases()
	if err != nil {
		t.Fatal(err)
	}
	s := e2e.Start(t, releases[1], e2e.Setup{Modules: []string{"e2e_sasl2"}})
	alice := s.Login(t, e2e.Who{Token: mine(t, "daily", "first")})
	id := enable(alice)
	alice.Close()
	back := s.Connect(t, e2e.Who{Token: mine(t, "daily", "second"), Query: url.Values{"previd": {id}}})
	back.MustSend(`<resume xmlns='urn:e2e:sasl2' h='0' previd='%s'/>`, id)
	back.MustExpect("the resumption", inStreamManagement("resumed"))
	if _, err := back.Ping(e2e.Context(t)); err != nil {
		t.Error(err)
	}
}

// To seek a session takes a walk over all of them, which a stranger could have the server do with each short stanza.
func TestDropIn_ASessionIsSoughtOnce(t *testing.T) {
	each(t, e2e.Setup{Profiles: guestsWelcome}, func(t *testing.T, s *e2e.Stack) {
		s.Lua(t, `prosody.walks = 0; setmetatable(prosody.full_sessions, { __pairs = function (all)
			prosody.walks = prosody.walks + 1;
			return next, all;
		end });`, nil)
		mustWalk := func(who string, want int) {
			t.Helper()
			var walks int
			s.Lua(t, `local walks = prosody.walks; prosody.walks = 0; return walks;`, &walks)
			if walks != want {
				t.Errorf("%s made the server walk over its sessions %d times, want %d", who, walks, want)
			}
		}
		ask := func(v *e2e.Visitor) {
			for range 3 {
				v.MustSend(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='whatever'/>`)
				v.MustExpect("a failure", inStreamManagement("failed"))
			}
		}
		v := s.Connect(t, e2e.Who{})
		ask(v)
		mustWalk("who has not logged in", 0)
		if err := v.Authenticate(e2e.Context(t)); err != nil {
			t.Fatal(err)
		}
		ask(v)
		mustWalk("who has logged in", 1)
		v = s.Connect(t, e2e.Who{Query: url.Values{"previd": {"whatever"}}})
		if err := v.Authenticate(e2e.Context(t)); err != nil {
			t.Fatal(err)
		}
		ask(v)
		mustWalk("who named it in the URL", 1)
	})
}

// Prosody cannot resume over BOSH, and throws at it. Told that it failed, a client starts anew; told nothing, it waits for ever.
func TestDropIn_OverBOSHAResumptionFailsAndALoginFollows(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		alice := e2e.Who{Via: e2e.BOSH, Token: user(t, "alice")}
		id := enable(s.Login(t, alice))
		back := s.Connect(t, alice)
		if err := back.Authenticate(e2e.Context(t)); err != nil {
			t.Fatal(err)
		}
		back.MustSend(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>`, id)
		back.MustExpect("a failure", inStreamManagement("failed"))
		if err := back.Bind(e2e.Context(t)); err != nil {
			t.Error(err)
		}
	})
}
