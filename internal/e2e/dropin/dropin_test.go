package dropin_test

import (
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
)

func TestMain(m *testing.M) { e2e.Main(m) }

// guestsWelcome is a profile that lets guests in.
const guestsWelcome = `  default:
    guests: allow
    rooms: {create: allow}
    issuers: [{iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi], subjects: [meet.example.com]}]
`

// user is a token for a user of this id.
func user(t *testing.T, id string) string {
	t.Helper()
	return e2e.Token(t, e2e.Claims{"jti": id, "context": e2e.Claims{"user": e2e.Claims{"id": id}}})
}

func each(t *testing.T, setup e2e.Setup, run func(t *testing.T, s *e2e.Stack)) {
	t.Helper()
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		run(t, e2e.Start(t, release, setup))
	})
}

func TestDropIn_JitsisEventsAreFiredInTheirOrder(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Lua(t, `fired = {};
			for _, name in ipairs {
				"pre-jitsi-authentication-fetch-key", "jitsi-authentication-token-verified", "jitsi-access-ban-check",
				"pre-jitsi-authentication", "post-jitsi-authentication", "jitsi-pre-session-unbind",
			} do
				prosody.events.add_handler(name, function (event)
					local session = event.session or event;
					fired[#fired + 1] = name .. (event.claims and " of " .. event.claims.context.user.id or "")
						.. (session.jitsi_meet_context_user and " with user" or "");
				end);
			end
			prosody.fired = fired;`, nil)
		v := s.Login(t, e2e.Who{Token: user(t, "u1")})
		s.Lua(t, fmt.Sprintf(`prosody.full_sessions[%q]:close();`, v.JID), nil)
		if err := v.Ended(e2e.Context(t)); err == nil {
			t.Fatal("the stream did not end")
		}
		var fired []string
		s.Lua(t, `return prosody.fired;`, &fired)
		want := []string{
			"pre-jitsi-authentication-fetch-key", "jitsi-authentication-token-verified of u1 with user",
			"jitsi-access-ban-check with user", "pre-jitsi-authentication with user", "post-jitsi-authentication with user",
			"jitsi-pre-session-unbind with user",
		}
		if strings.Join(fired, "\n") != strings.Join(want, "\n") {
			t.Errorf("fired:\n%s\nwant:\n%s", strings.Join(fired, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestDropIn_AnotherModuleMayRefuseALoginAtEachEvent(t *testing.T) {
	each(t, e2e.Setup{Profiles: guestsWelcome}, func(t *testing.T, s *e2e.Stack) {
		for event, answer := range map[string]string{
			"pre-jitsi-authentication-fetch-key": `{ res = false, error = "not-allowed", reason = "refused for a test" }`,
			"jitsi-access-ban-check":             `false`,
			"post-jitsi-authentication":          `{ res = false, error = "not-allowed", reason = "refused for a test" }`,
		} {
			s.Lua(t, fmt.Sprintf(`handler = function () return %s; end; prosody.events.add_handler(%q, handler); prosody.handler = handler;`, answer, event), nil)
			v := s.Connect(t, e2e.Who{Token: user(t, "u1")})
			if err := v.Authenticate(e2e.Context(t)); err == nil {
				t.Errorf("%s refused, and the login went on", event)
			}
			s.Lua(t, fmt.Sprintf(`prosody.events.remove_handler(%q, prosody.handler);`, event), nil)
			// What is let in next on this stream is a guest, with nothing of the refused token's.
			if err := v.AuthenticateAgain(e2e.Context(t)); err != nil {
				t.Fatal(err)
			}
			if err := v.Bind(e2e.Context(t)); err != nil {
				t.Fatal(err)
			}
			var left bool
			s.Lua(t, fmt.Sprintf(`local s = prosody.full_sessions[%q]; return (s.auth_token or s.jitsi_meet_context_user or s.jitsi_meet_room) ~= nil;`, v.JID), &left)
			if left {
				t.Errorf("%s refused, and the token's fields stayed", event)
			}
		}
	})
}

func TestDropIn_AHandlerThatThrowsLeavesNobodyWithoutAnAnswer(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Lua(t, `prosody.events.add_handler("jitsi-access-ban-check", function () error("for a test"); end);`, nil)
		if refused := s.MustRefuseLogin(t, e2e.Who{Token: user(t, "u1")}); refused.Condition != "temporary-auth-failure" {
			t.Errorf("refused with <%s/>", refused.Condition)
		}
	})
}

func TestDropIn_AModuleMayGiveTheUsername(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Lua(t, `prosody.events.add_handler("pre-jitsi-authentication", function () return "chosen"; end);`, nil)
		if v := s.Login(t, e2e.Who{Token: user(t, "u1")}); !strings.HasPrefix(v.JID, "chosen@") {
			t.Errorf("the username is that of %s", v.JID)
		}
	})
}

// Prosody 13 reads a role out of the user's file at each login. Whom chance has named has none, so it is asked once.
func TestDropIn_WhomChanceHasNamedHasTheHostsRoleAndOthersTheirOwn(t *testing.T) {
	setup := e2e.Setup{Host: `default_user_role = "prosody:guest"`, Admins: []string{"chosen@meet.example.com"}}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, setup)
		mustHave := func(v *e2e.Visitor, want string) {
			t.Helper()
			if release.Name == "0.12" {
				want = "no role" // it knows none
			}
			var role string
			s.Lua(t, fmt.Sprintf(`local role = prosody.full_sessions[%q].role; return role and role.name or "no role";`, v.JID), &role)
			if role != want {
				t.Errorf("%s has the role %q, want %q", v.JID, role, want)
			}
		}
		s.Lua(t, `prosody.chosen = function () return "chosen"; end; prosody.events.add_handler("pre-jitsi-authentication", prosody.chosen);`, nil)
		mustHave(s.Login(t, e2e.Who{Token: user(t, "u1")}), "prosody:operator")
		s.Lua(t, `prosody.events.remove_handler("pre-jitsi-authentication", prosody.chosen);`, nil)
		for _, id := range []string{"u2", "u3"} {
			mustHave(s.Login(t, e2e.Who{Token: user(t, id)}), "prosody:guest")
		}
		s.Lua(t, `prosody.events.add_handler("pre-jitsi-authentication", prosody.chosen);`, nil)
		mustHave(s.Login(t, e2e.Who{Token: user(t, "u4")}), "prosody:operator")
	})
}

// Who comes back under the name of a session that goes meanwhile may have a role of its own, which is nobody else's.
func TestDropIn_TheRoleOfWhoComesBackIsNobodyElses(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		if release.Name == "0.12" {
			return // it knows no roles of sessions
		}
		s := e2e.Start(t, release, e2e.Setup{Global: "usher_timeout = 60"})
		role := func(v *e2e.Visitor) (name string) {
			s.Lua(t, fmt.Sprintf(`return prosody.full_sessions[%q].role.name;`, v.JID), &name)
			return name
		}
		alice := s.Login(t, e2e.Who{Token: user(t, "alice")})
		id := enable(alice)
		name, _, _ := strings.Cut(alice.JID, "@")
		s.Lua(t, fmt.Sprintf(`prosody.hosts["meet.example.com"].authz.set_user_role(%q, "prosody:admin");
			require "core.modulemanager".reload("meet.example.com", "auth_usher");`, name), nil)
		s.Gate.Hold()
		back := s.Connect(t, e2e.Who{Token: user(t, "alice"), Query: url.Values{"previd": {id}}})
		back.MustSend(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>`)
		if _, err := s.Gate.Arrived(e2e.Context(t), "connect", 2); err != nil {
			t.Fatal(err)
		}
		s.Lua(t, fmt.Sprintf(`local session = prosody.full_sessions[%q];
			session.resumption_token = nil; -- or it would hibernate
			require "core.sessionmanager".destroy_session(session);`, alice.JID), nil)
		s.Gate.Release()
		back.MustExpect("to be let in", func(e *client.Element) bool { return e.Name() == "success" })
		var own string
		s.Lua(t, fmt.Sprintf(`return prosody.hosts["meet.example.com"].authz.get_user_role(%q).name;`, name), &own)
		if own != "prosody:admin" {
			t.Fatalf("alice has the role %s", own)
		}
		if got := role(s.Login(t, e2e.Who{Token: user(t, "bob")})); got == own {
			t.Errorf("bob has alice's role %s", got)
		}
	})
}

func TestDropIn_ASessionMayAskForAContext(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		s.Lua(t, `prosody.events.add_handler("pre-jitsi-authentication-fetch-key", function (session) session.contextRequired = true; end);`, nil)
		s.Login(t, e2e.Who{Token: user(t, "u1")})
		if refused := s.MustRefuseLogin(t, e2e.Who{Token: e2e.Token(t, nil)}); refused.Condition != "not-allowed" {
			t.Errorf("refused with <%s/>", refused.Condition)
		}
	})
}

// previd names a session to come back to. Upstream hands its username, and with it the live session, to anybody.
func TestDropIn_PrevidGivesAUsernameToItsOwnIdentityAlone(t *testing.T) {
	each(t, e2e.Setup{Profiles: guestsWelcome}, func(t *testing.T, s *e2e.Stack) {
		alice := s.Login(t, e2e.Who{Token: user(t, "alice")})
		s.Lua(t, fmt.Sprintf(`prosody.full_sessions[%q].resumption_token = "of-alice";`, alice.JID), nil)
		name, _, _ := strings.Cut(alice.JID, "@")
		previd := url.Values{"previd": {"of-alice"}}
		for who, c := range map[string]struct {
			token string
			same  bool
		}{
			"the same user with a new token": {e2e.Token(t, e2e.Claims{"jti": "new", "context": e2e.Claims{"user": e2e.Claims{"id": "alice"}}}), true},
			"another user":                   {user(t, "mallory"), false},
			"a guest":                        {"", false},
			"a token without a user":         {e2e.Token(t, nil), false},
		} {
			v := s.Login(t, e2e.Who{Token: c.token, Query: previd})
			if same := strings.HasPrefix(v.JID, name+"@"); same != c.same {
				t.Errorf("%s became %s; alice is %s", who, v.JID, alice.JID)
			}
		}
	})
}

// Where another claim names the user, all may have the same context.user.id.
func TestDropIn_PrevidGoesByTheClaimThatNamesTheUser(t *testing.T) {
	const bySubject = `  default:
    domain: meet.example.com
    revocation: {user_claim: sub}
    issuers: [{iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi], subjects: ["*"]}]
`
	of := func(subject, jti string) string {
		return e2e.Token(t, e2e.Claims{"sub": subject, "jti": jti, "context": e2e.Claims{"user": e2e.Claims{"id": "participant"}}})
	}
	each(t, e2e.Setup{Profiles: bySubject}, func(t *testing.T, s *e2e.Stack) {
		ada := s.Login(t, e2e.Who{Token: of("ada", "1")})
		name, _, _ := strings.Cut(ada.JID, "@")
		s.Lua(t, fmt.Sprintf(`prosody.full_sessions[%q].resumption_token = "of-ada";`, ada.JID), nil)
		previd := url.Values{"previd": {"of-ada"}}
		if eve := s.Login(t, e2e.Who{Token: of("eve", "2"), Query: previd}); strings.HasPrefix(eve.JID, name+"@") {
			t.Errorf("eve became ada: %s", eve.JID)
		}
		if again := s.Login(t, e2e.Who{Token: of("ada", "3"), Query: previd}); !strings.HasPrefix(again.JID, name+"@") {
			t.Errorf("ada became %s", again.JID)
		}
	})
}

// Lua and util.json read a user's id as the verifier does: the one rounds long numbers, the other finds members in __hash.
func TestDropIn_PrevidTakesNoOtherIDForTheSame(t *testing.T) {
	who := func(user e2e.Claims) string { return e2e.Token(t, e2e.Claims{"context": e2e.Claims{"user": user}}) }
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		for id, other := range map[any]e2e.Claims{
			uint64(math.MaxUint64): {"id": uint64(math.MaxUint64 - 1)},
			"alice":                {"id": "mallory", "name": `"Mallory"`, "__hash": []string{"id", "alice"}},
		} {
			alice := s.Login(t, e2e.Who{Token: who(e2e.Claims{"id": id})})
			name, _, _ := strings.Cut(alice.JID, "@")
			s.Lua(t, fmt.Sprintf(`prosody.full_sessions[%q].resumption_token = %q;`, alice.JID, name), nil)
			if v := s.Login(t, e2e.Who{Token: who(other), Query: url.Values{"previd": {name}}}); strings.HasPrefix(v.JID, name+"@") {
				t.Errorf("%v became %s, who is %v", other, v.JID, id)
			}
		}
	})
}

func TestDropIn_AllowlistOfJitsiIsHonoured(t *testing.T) {
	each(t, e2e.Setup{MUC: `token_verification_allowlist = { "guest.meet.example.com" }`}, func(t *testing.T, s *e2e.Stack) {
		s.Login(t, e2e.Who{Domain: e2e.GuestDomain}).MustJoin("daily", "recorder")
		if asked := s.Gate.Questions(); len(asked) != 0 {
			t.Errorf("the verifier was asked %d times", len(asked))
		}
	})
}

func TestDropIn_AdminsAreExempt(t *testing.T) {
	each(t, e2e.Setup{Admins: []string{"focus@meet.example.com"}}, func(t *testing.T, s *e2e.Stack) {
		s.Lua(t, `prosody.events.add_handler("pre-jitsi-authentication", function () return "focus"; end);`, nil)
		s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"room": "another"})}).MustJoin("daily", "focus")
		for _, q := range s.Gate.Questions() {
			if q.Stage != "connect" {
				t.Errorf("the verifier was asked about an admin's %s", q.Stage)
			}
		}
	})
}

// Breakout and lobby rooms are of MUCs that do not load the check, as upstream.
func TestDropIn_AMUCWithoutTheCheckIsNotAskedAbout(t *testing.T) {
	each(t, e2e.Setup{Hosts: `Component "breakout.meet.example.com" "muc"`}, func(t *testing.T, s *e2e.Stack) {
		v := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"room": "another"})})
		v.MustJoin("daily@breakout.meet.example.com", "me")
		if asked := s.Gate.Questions(); len(asked) != 1 {
			t.Errorf("the verifier was asked %d times, want once at login", len(asked))
		}
	})
}

// Upstream registers its mechanism for all hosts: a login at a plain anonymous host beside it breaks.
func TestDropIn_APlainAnonymousHostIsUntouched(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *e2e.Stack) {
		for _, via := range []e2e.Via{e2e.WebSocket, e2e.BOSH, e2e.TCP} {
			v := s.Login(t, e2e.Who{Via: via, Domain: e2e.GuestDomain, Token: "whatever"})
			if refused := v.MustBeRefused("daily", "stranger"); refused.JitsiCode != "authentication-required" {
				t.Errorf("by %s its user was refused a room with %v, code %q", via, refused, refused.JitsiCode)
			}
		}
		for _, q := range s.Gate.Questions() {
			if q.Stage == "connect" {
				t.Error("a login at another host was asked about")
			}
		}
	})
}

// Upstream lets every user of every other server in. With s2s_bidi, stanzas of other servers come by streams that this
// server opened, too.
func TestDropIn_OtherServersUsersAreAdmittedOnlyWhenListed(t *testing.T) {
	each(t, e2e.Setup{Profiles: guestsWelcome, MUC: `usher_s2s_allow = { "visitors.example.com", "bidi.example.com" }`}, func(t *testing.T, s *e2e.Stack) {
		host := s.Login(t, e2e.Who{Token: user(t, "host")})
		host.MustJoin("daily", "host")
		for _, c := range []struct{ stream, from, want string }{
			{"s2sin", "visitors.example.com", ""}, {"s2sin", "elsewhere.example.com", "not-allowed"},
			{"s2sout", "bidi.example.com", ""}, {"s2sout", "elsewhere.example.com", "not-allowed"},
		} {
			stream, from, want := c.stream, c.from, c.want
			var got string
			s.Lua(t, fmt.Sprintf(`local st, answer = require "util.stanza", "";
				local origin = { type = %[2]q, log = module._log, send = function (stanza)
					local _, condition = stanza:get_error();
					answer = condition or "";
				end };
				local join = st.presence({ from = "somebody@%[1]s/x", to = "daily@conference.meet.example.com/%[1]s" })
					:tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up();
				prosody.core_post_stanza(origin, join);
				return answer;`, from, stream), &got)
			if got != want {
				t.Errorf("a user of %s, by %s, was answered with %q, want %q", from, stream, got, want)
			}
			if want == "" {
				host.MustExpect("the listed server's user", func(e *client.Element) bool {
					return e.Name() == "presence" && strings.HasSuffix(e.Attr("from"), "/"+from)
				})
			}
		}
	})
}

func TestDropIn_ModerationNeedsATokenWhereAsked(t *testing.T) {
	const form = `<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>`
	setup := e2e.Setup{Profiles: guestsWelcome, MUC: "token_verification_require_token_for_moderation = true"}
	each(t, setup, func(t *testing.T, s *e2e.Stack) {
		owner := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"context": e2e.Claims{"user": e2e.Claims{"moderator": true}}})})
		owner.MustJoin("daily", "owner")
		if _, err := owner.Request(e2e.Context(t), e2e.Room("daily"), "set", form); err != nil {
			t.Errorf("an owner with a token: %v", err)
		}
		guest := s.Login(t, e2e.Who{})
		guest.MustJoin("daily", "guest")
		s.Lua(t, fmt.Sprintf(`local muc = prosody.hosts["conference.meet.example.com"].modules.muc;
			muc.get_room_from_jid("daily@conference.meet.example.com"):set_affiliation(true, %q, "owner");`, bare(guest.JID)), nil)
		if _, err := guest.Request(e2e.Context(t), e2e.Room("daily"), "set", form); err == nil || !strings.Contains(err.Error(), "not-allowed") {
			t.Errorf("a guest who is an owner: %v", err)
		}
	})
}

func bare(jid string) string {
	before, _, _ := strings.Cut(jid, "/")
	return before
}
