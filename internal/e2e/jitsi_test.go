package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/reason"
)

// jitsi is a page with Jitsi's own library.
type jitsi struct{ page }

// told is what the library told its page: an event by its name, and the texts that came with it.
type told struct {
	Event string
	Told  []string
}

func (j jitsi) mustTell(event string) told {
	j.t.Helper()
	return await(j.page, event, func(e told) bool { return e.Event == event })
}

func (j jitsi) enter(s *e2e.Stack, token string) {
	j.t.Helper()
	j.run(fmt.Sprintf("enter(%q, %q, %q, 'daily')", s.Prosody.WebSocketURL()+"?room=daily", e2e.Domain, token), nil)
}

// withFocus is a stack in which somebody says, as Jicofo does, that the conference may begin.
func withFocus(t *testing.T, release prosody.Release) *e2e.Stack {
	t.Helper()
	s := e2e.Start(t, release, e2e.Setup{Hosts: "Component \"focus.meet.example.com\"\n\tcomponent_secret = \"of the focus\"\n"})
	focus, err := client.DialComponent(e2e.Context(t), s.Prosody.ComponentAddress(), "focus.meet.example.com", "of the focus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(focus.Close)
	ctx := t.Context()
	go func() {
		for {
			asked, err := focus.Expect(ctx, "a conference", func(e *client.Element) bool { return e.Has("conference") })
			if err != nil {
				return // the test is over
			}
			_ = focus.Send(ctx, `<iq type='result' id='%s' from='%s' to='%s'><conference xmlns='http://jitsi.org/protocol/focus' ready='true'/></iq>`,
				asked.Attr("id"), asked.Attr("to"), asked.Attr("from"))
		}
	}()
	return s
}

func TestJitsi_ItsClientIsRefusedEntersComesBackAndIsPutOut(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := withFocus(t, release)
		client := jitsi{openPage(t, "jitsi.html", "lib-jitsi-meet.min.js")}

		client.enter(s, e2e.Token(t, e2e.Claims{"exp": seconds(-time.Minute)}))
		mustSay(t, last(client.mustTell("CONNECTION_FAILED")), reason.TokenExpired)

		client.enter(s, e2e.Token(t, e2e.Claims{"room": "other"}))
		if why := client.mustTell("CONFERENCE_FAILED").Told; !slices.Contains(why, "conference.connectionError.notAllowed") {
			t.Errorf("the conference failed by %q", why)
		}

		client.enter(s, e2e.Token(t, e2e.Claims{"room": "daily", "context": e2e.Claims{"user": e2e.Claims{"id": "ada", "moderator": true}}}))
		client.mustTell("CONFERENCE_JOINED")
		if role := last(client.mustTell("USER_ROLE_CHANGED")); role != "moderator" {
			t.Errorf("the moderator became a %s", role)
		}

		var jid string
		client.run("seen = []; return connection.getJid()", &jid)
		s.Lua(t, fmt.Sprintf("prosody.full_sessions[%q].conn:close();", jid), nil)
		client.mustTell("CONNECTION_ESTABLISHED")
		client.run("conference.sendTextMessage('still here'); return connection.getJid()", &jid)
		client.mustTell("MESSAGE_RECEIVED")

		if out, err := s.Verifier.Command("revoke", "--user", "ada").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		mustSay(t, last(client.mustTell("KICKED")), reason.TokenRevoked)
		client.mustTell("CONNECTION_FAILED")
	})
}

// last is the last text that came with an event.
func last(e told) string { return strings.Join(e.Told[max(0, len(e.Told)-1):], "") }
