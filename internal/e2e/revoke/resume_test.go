package revoke_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/reason"
)

const streamManagement = "urn:xmpp:sm:3"

func managed(names ...string) func(*client.Element) bool {
	return func(e *client.Element) bool {
		return e.XMLName.Space == streamManagement && strings.Contains(strings.Join(names, " "), e.Name())
	}
}

// hibernate makes a session one that can be resumed (XEP-0198), takes its connection away, and gives the id to resume
// it by.
func (s *scene) hibernate(t *testing.T, v *e2e.Visitor) string {
	t.Helper()
	v.MustSend(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`)
	id := v.MustExpect("an id to resume by", managed("enabled")).Attr("id")
	s.drop(t, v)
	return id
}

// drop takes the connection of a session away that can be resumed.
func (s *scene) drop(t *testing.T, v *e2e.Visitor) {
	t.Helper()
	mark := s.Prosody.Log.Mark()
	v.Close()
	if _, err := s.Prosody.Log.WaitAfter(e2e.Context(t), mark, "Session going into hibernation"); err != nil {
		t.Fatalf("the session does not hibernate: %v", err)
	}
}

// resume comes back to a session with a token, and also gives what the server says to it: resumed or failed. Where an
// address is named, Prosody gives its username to this login, whoever it is: nothing but the session itself may then
// stand in the way.
func (s *scene) resume(t *testing.T, via e2e.Via, as, token, id string) (*e2e.Visitor, string) {
	t.Helper()
	if as != "" {
		name, _, _ := strings.Cut(as, "@")
		s.Lua(t, fmt.Sprintf(`prosody.as_somebody = function () return %q; end;
			prosody.events.add_handler("pre-jitsi-authentication", prosody.as_somebody);`, name), nil)
		defer s.Lua(t, `prosody.events.remove_handler("pre-jitsi-authentication", prosody.as_somebody);`, nil)
	}
	who := e2e.Who{Via: via, Token: token, Query: url.Values{"previd": {id}}}
	v := s.Connect(t, who)
	if err := authenticate(e2e.Context(t), v, who); err != nil {
		t.Fatal(err)
	}
	v.MustSend(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>`, id)
	return v, v.MustExpect("an answer to the resumption", managed("resumed", "failed")).Name()
}

// She is asked about by her revoked token, and comes back with a good one before the answer is there.
func TestResume_WhoCameBackMeanwhileIsNotPutOutForTheTokenThatSheHadBefore(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		s.enter(t, e2e.Who{Token: holder(t, "host")}, "daily", "host")
		alice := s.enter(t, e2e.Who{Token: holder(t, "alice")}, "daily", "alice")
		id := s.hibernate(t, alice)
		s.Gate.HoldAnswers("recheck")
		s.revoke(t, jti("alice"))
		if _, err := s.Gate.Arrived(e2e.Context(t), "recheck", 1); err != nil {
			t.Fatal(err)
		}
		later := e2e.Token(t, e2e.Claims{"jti": "later", "context": e2e.Claims{"user": e2e.Claims{"id": "alice"}}})
		back, answer := s.resume(t, e2e.WebSocket, "", later, id)
		if answer != "resumed" {
			t.Fatalf("the resumption %s", answer)
		}
		if _, err := s.Gate.Arrived(e2e.Context(t), "recheck", 2); err != nil { // by the new token
			t.Fatal(err)
		}
		s.Gate.Release()
		s.enter(t, e2e.Who{Token: holder(t, "witness")}, "daily", "witness")
		if _, err := back.Ping(e2e.Context(t)); err != nil {
			t.Errorf("she was put out: %v", err)
		}
	})
}

// Somebody else is revoked between her login and her resumption, so that she is asked about as a whole as well.
func TestResume_ATokenForAnotherRoomCostsTheSeatAlone(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		s.enter(t, e2e.Who{Token: holder(t, "host")}, "daily", "host")
		bob := s.enter(t, e2e.Who{Token: holder(t, "bob")}, "daily", "bob")
		alice := s.enter(t, e2e.Who{Token: holder(t, "alice")}, "daily", "alice")
		id := s.hibernate(t, alice)
		weekly := e2e.Token(t, e2e.Claims{"jti": "weekly", "room": "weekly", "context": e2e.Claims{"user": e2e.Claims{"id": "alice"}}})
		who := e2e.Who{Token: weekly, Query: url.Values{"previd": {id}}}
		back := s.Connect(t, who)
		if err := authenticate(e2e.Context(t), back, who); err != nil {
			t.Fatal(err)
		}
		s.revoke(t, jti("bob"))
		mustBePutOut(t, bob, "daily", "bob")
		back.MustSend(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>`, id)
		if text := mustSeeKick(back, "daily", "alice"); !strings.HasPrefix(text, reason.RoomMismatch.Info().Message) {
			t.Errorf("she is told %q", text)
		}
		if _, err := s.Gate.Arrived(e2e.Context(t), "recheck", 3); err != nil { // of bob, of her, of her seat
			t.Fatal(err)
		}
		back.MustJoin("weekly", "alice")
	})
}

// One person has two devices, each with a token of its own, under one username and one nick.
func TestRevoke_TheOtherDeviceUnderTheSameNickKeepsItsSeat(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		host := s.enter(t, e2e.Who{Token: holder(t, "host")}, "daily", "host")
		first := s.enter(t, e2e.Who{Token: holder(t, "alice")}, "daily", "alice")
		name, _, _ := strings.Cut(first.JID, "@")
		second := s.Connect(t, e2e.Who{Via: e2e.TCP})
		second.MustExpect("stream features", func(e *client.Element) bool { return e.Name() == "features" })
		other := e2e.Token(t, e2e.Claims{"jti": "other", "context": e2e.Claims{"user": e2e.Claims{"id": "alice"}}})
		ctx := e2e.Context(t)
		if err := second.AuthenticateBy(ctx, "OAUTHBEARER", "n,a="+name+"@meet.example.com,\x01auth=Bearer "+other+"\x01\x01"); err != nil {
			t.Fatal(err)
		}
		if err := second.Bind(ctx); err != nil {
			t.Fatal(err)
		}
		second.MustJoin("daily", "alice")
		s.revoke(t, jti("alice"))
		if err := first.Ended(ctx); err == nil {
			t.Error("the revoked device's stream ended without an error")
		}
		// What the one left behind says is heard by the others: it has a seat.
		second.MustSend(`<message xmlns='jabber:client' type='groupchat' to='%s'><body>still here</body></message>`, e2e.Room("daily"))
		host.MustExpect("a message of the other device", func(e *client.Element) bool {
			return e.Name() == "message" && strings.HasSuffix(e.Attr("from"), "/alice")
		})
	})
}
