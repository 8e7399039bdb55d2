package dropin_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
)

// fields are the names of everything that a session has, whoever set it.
func fields(t *testing.T, s *e2e.Stack, jid string) (names []string) {
	t.Helper()
	s.Lua(t, fmt.Sprintf(`local names = {};
		for name in pairs(prosody.full_sessions[%q]) do names[#names + 1] = tostring(name); end
		return names;`, jid), &names)
	return names
}

// Upstream clears auth_token alone: a second try on the stream enters as a guest with the refused token's user, features
// and room.
func TestDropIn_ARefusedLoginLeavesNoFieldOfItsToken(t *testing.T) {
	everything := e2e.Claims{"jti": "j", "context": e2e.Claims{
		"user": e2e.Claims{"id": "u1", "moderator": true}, "group": "g", "tenant": "acme",
		"room": e2e.Claims{"lobby": true, "password": "p"}, "features": e2e.Claims{"recording": true},
	}}
	expired := e2e.Claims{"exp": time.Now().Add(-time.Hour).Unix(), "context": everything["context"]}
	refusals := map[string]struct {
		claims         e2e.Claims
		event, handler string
	}{
		"the verifier": {expired, "e2e-none", "nil"},
		"the fetch of a key": {everything, "pre-jitsi-authentication-fetch-key", `function ()
			return { res = false, error = "not-allowed", reason = "for a test" };
		end`},
		"the wish for a context": {e2e.Claims{"context": nil, "user_id": "u1"}, "pre-jitsi-authentication-fetch-key",
			`function (session) session.contextRequired = true; end`},
		"a look at the claims": {everything, "jitsi-authentication-token-verified", `function () error("for a test"); end`},
		"the ban check":        {everything, "jitsi-access-ban-check", `function () return false; end`},
		"the last look": {everything, "post-jitsi-authentication", `function ()
			return { res = false, error = "not-allowed", reason = "for a test" };
		end`},
		"a username that is none": {everything, "pre-jitsi-authentication", `function () return "no@name"; end`},
	}
	each(t, e2e.Setup{Profiles: guestsWelcome}, func(t *testing.T, s *e2e.Stack) {
		plain := fields(t, s, s.Login(t, e2e.Who{}).JID)
		for by, c := range refusals {
			for _, via := range []e2e.Via{e2e.WebSocket, e2e.BOSH} {
				if c.handler != "nil" {
					s.Lua(t, fmt.Sprintf(`prosody.e2e_handler = %s; prosody.events.add_handler(%q, prosody.e2e_handler);`, c.handler, c.event), nil)
				}
				v := s.Connect(t, e2e.Who{Via: via, Token: e2e.Token(t, c.claims)})
				if err := v.Authenticate(e2e.Context(t)); err == nil {
					t.Errorf("%s refused, and the login went on", by)
				}
				s.Lua(t, fmt.Sprintf(`if prosody.e2e_handler then prosody.events.remove_handler(%q, prosody.e2e_handler); end`, c.event), nil)
				if err := v.AuthenticateAgain(e2e.Context(t)); err != nil {
					t.Fatalf("%s refused, and then the guest was: %v", by, err)
				}
				if err := v.Bind(e2e.Context(t)); err != nil {
					t.Fatal(err)
				}
				known := append([]string{"contextRequired"}, plain...)
				if via == e2e.BOSH {
					known = append(known, fields(t, s, s.Login(t, e2e.Who{Via: via}).JID)...)
				}
				for _, name := range fields(t, s, v.JID) {
					if !slices.Contains(known, name) {
						t.Errorf("by %s: %s refused, and left %s on the session", via, by, name)
					}
				}
			}
		}
	})
}

// Some issuers fill what they do not know with an empty text: that names nobody.
func TestDropIn_AnEmptyUserIDIsNoIdentityToComeBackTo(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		nobody := func(jti string) string {
			return e2e.Token(t, e2e.Claims{"jti": jti, "context": e2e.Claims{"user": e2e.Claims{"id": "", "name": jti}}})
		}
		token := nobody("alice")
		alice := s.Login(t, e2e.Who{Token: token})
		previd := url.Values{"previd": {enable(alice)}}
		name, _, _ := strings.Cut(alice.JID, "@")
		for shown, same := range map[string]bool{nobody("mallory"): false, token: true} {
			if v := s.Login(t, e2e.Who{Token: shown, Query: previd}); strings.HasPrefix(v.JID, name+"@") != same {
				t.Errorf("the same token: %v, the same user: %v", same, !same)
			}
		}
	})
}

// The option of Jitsi's, where it is set to false, outweighs a profile that lets guests in.
func TestDropIn_AllowEmptyTokenSetToFalseRefusesGuests(t *testing.T) {
	each(t, e2e.Setup{Profiles: guestsWelcome, Host: `allow_empty_token = false`}, func(t *testing.T, s *e2e.Stack) {
		for _, via := range []e2e.Via{e2e.WebSocket, e2e.BOSH, e2e.TCP} {
			if refused := s.MustRefuseLogin(t, e2e.Who{Via: via}); refused.Condition != "not-allowed" || refused.Text == "" {
				t.Errorf("by %s a guest was refused with <%s/> %q", via, refused.Condition, refused.Text)
			}
		}
		s.Login(t, e2e.Who{Token: user(t, "u1")}).MustJoin("daily", "alice")
	})
	each(t, e2e.Setup{Host: `allow_empty_token = true`}, func(t *testing.T, s *e2e.Stack) {
		s.MustRefuseLogin(t, e2e.Who{}) // set to true it opens nothing that the profile keeps shut
	})
}
