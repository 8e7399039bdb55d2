package revoke_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/reason"
)

// What clients see of each other and of the server.

// mustSeeKick waits until somebody sees an occupant being taken out of a room (status 307), and returns the words that
// go with it.
func mustSeeKick(v *e2e.Visitor, room, nick string) string {
	kick := v.MustExpect(nick+" to be taken out of "+room, func(e *client.Element) bool {
		return e.Name() == "presence" && e.Attr("type") == "unavailable" && e.Attr("from") == e2e.Room(room)+"/"+nick && e.HasStatus("307")
	})
	return kick.TextAt("x/item/reason")
}

// mustBePutOut waits until a session has left its room and its stream has ended, both with the same words, and returns
// the words.
func mustBePutOut(t *testing.T, v *e2e.Visitor, room, nick string) string {
	t.Helper()
	return mustBePutOutFor(t, reason.TokenRevoked, v, room, nick)
}

func mustBePutOutFor(t *testing.T, why reason.Code, v *e2e.Visitor, room, nick string) string {
	t.Helper()
	text := mustSeeKick(v, room, nick)
	var ended *client.StreamError
	if err := v.Ended(e2e.Context(t)); !errors.As(err, &ended) {
		t.Fatalf("%s was taken out of its room, and its stream ended with: %v", nick, err)
	}
	if ended.Condition != "policy-violation" || ended.Text != text || !strings.HasPrefix(text, why.Info().Message) {
		t.Errorf("%s left the room with %q, the stream with <%s/> %q", nick, text, ended.Condition, ended.Text)
	}
	return text
}

// mustStay proves that a session still sits in a room: what it says there comes back to it.
func mustStay(v *e2e.Visitor, room string) {
	id := v.ID()
	v.MustSend(`<message xmlns='jabber:client' type='groupchat' to='%s' id='%s'><body>still here</body></message>`, e2e.Room(room), id)
	v.MustExpect("its own message from "+room, func(e *client.Element) bool { return e.Name() == "message" && e.Attr("id") == id })
}

// mustBeReported waits for the audit of an ejection, which names the decision that it carried out, and checks that
// Prosody has no session at the address any more.
func (s *scene) mustBeReported(t *testing.T, text, jid string) {
	t.Helper()
	id := decisionIn(t, text)
	decided := event(t, s.Verifier, `"id":"`+id+`"`)
	if decided.Stage != "recheck" || decided.Verdict != audit.Deny || decided.Reason != reason.TokenRevoked || decided.RevocationID == "" {
		t.Errorf("the decision is recorded as %+v", decided)
	}
	became := event(t, s.Verifier, `"decision_id":"`+id+`"`)
	if became.Kind != audit.Ejection || became.Outcome != "ejected" || became.Session != decided.Session || !strings.HasPrefix(jid, became.Session+"@") {
		t.Errorf("the ejection of %s is recorded as %+v; the decision was on session %s", jid, became, decided.Session)
	}
	if s.has(t, jid) {
		t.Errorf("Prosody still has a session at %s", jid)
	}
}

// has says whether Prosody has a session at an address, live or hibernating.
func (s *scene) has(t *testing.T, jid string) (has bool) {
	t.Helper()
	s.Lua(t, fmt.Sprintf(`return prosody.full_sessions[%q] ~= nil;`, jid), &has)
	return has
}
