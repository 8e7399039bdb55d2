package revoke_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
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
