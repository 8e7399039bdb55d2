package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/reason"
)

func TestJoin_ATokenOpensTheRoomThatItNamesAndNoOther(t *testing.T) {
	cases := []struct {
		name   string
		claims e2e.Claims
		room   string
		want   reason.Code // None: let in
		code   string      // in Jitsi's namespace
	}{
		{"its own room", e2e.Claims{"room": "daily"}, "daily", reason.None, ""},
		{"another room", e2e.Claims{"room": "daily"}, "weekly", reason.RoomMismatch, "room-mismatch"},
		{"any room by wildcard", e2e.Claims{"room": "*"}, "weekly", reason.None, ""},
		{"a room of its list", e2e.Claims{"room": []string{"daily", "weekly"}}, "weekly", reason.None, ""},
		{"a room not on its list", e2e.Claims{"room": []string{"daily", "weekly"}}, "yearly", reason.RoomMismatch, "room-mismatch"},
		{"no room without a claim", e2e.Claims{"room": nil}, "daily", reason.RoomClaimMissing, "room-name-does-not-match"},
		{"a room in another case", e2e.Claims{"room": "Daily"}, "DAILY", reason.None, ""},
		{"a percent-encoded room", e2e.Claims{"room": "café"}, "caf%c3%a9", reason.None, ""},
		{"a room that matches its pattern", e2e.Claims{"room": "^team%-%d+$", "context": e2e.Claims{"room": e2e.Claims{"regex": true}}},
			"team-7", reason.None, ""},
		{"no room beside its pattern", e2e.Claims{"room": "^team%-%d+$", "context": e2e.Claims{"room": e2e.Claims{"regex": true}}},
			"team-x", reason.RoomMismatch, "room-name-does-not-match"},
		{"a room of its tenant", e2e.Claims{"sub": "acme", "room": "daily"}, "[acme]daily", reason.None, ""},
		{"a room of its tenant in another case", e2e.Claims{"sub": "ACME", "room": "daily"}, "[Acme]Daily", reason.None, ""},
		{"no room of another tenant", e2e.Claims{"sub": "acme", "room": "daily"}, "[globex]daily", reason.TenantMismatch, ""},
		{"no tenant's room by its ending", e2e.Claims{"room": "daily"}, "[acme]daily", reason.TenantMismatch, ""},
		{"no room without tenant by a tenant's token", e2e.Claims{"sub": "acme", "room": "daily"}, "daily", reason.TenantMismatch, ""},
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		for _, via := range browserTransports {
			for _, c := range cases {
				t.Run(c.name+" by "+string(via), func(t *testing.T) {
					alice := s.Login(t, e2e.Who{Via: via, Token: e2e.Token(t, c.claims)})
					if c.want == reason.None {
						alice.MustJoin(c.room, "alice")
						return
					}
					refused := alice.MustBeRefused(c.room, "alice")
					if refused.Type != "cancel" || refused.Condition != "not-allowed" || refused.JitsiCode != c.code {
						t.Errorf("refused with type %q, <%s/> and code %q; want cancel, not-allowed and %q",
							refused.Type, refused.Condition, refused.JitsiCode, c.code)
					}
					mustSay(t, refused.Text, c.want)
					// A refused join takes nothing from the session: its own room still opens.
					if room, ok := c.claims["room"].(string); ok && c.claims["context"] == nil && c.claims["sub"] == nil {
						alice.MustJoin(room, "alice")
					}
				})
			}
		}
	})
}

func TestJoin_ARoomThatDoesNotExistIsNobodysToOpenByDefault(t *testing.T) {
	const profiles = `  default:
    issuers: [{iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi]}]
`
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{
			Profiles: profiles,
			MUC:      `usher_allowlist = { "guest.meet.example.com" }`,
		})
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"room": "daily"})})
		refused := alice.MustBeRefused("daily", "alice")
		if refused.JitsiCode != "room-does-not-exist" {
			t.Errorf("refused with code %q; Jitsi's client tries again on room-does-not-exist alone", refused.JitsiCode)
		}
		// The focus is exempt: it opens rooms and is not asked about.
		asked := len(s.Gate.Questions())
		focus := s.Login(t, e2e.Who{Domain: e2e.GuestDomain})
		focus.MustJoin("daily", "focus")
		if now := len(s.Gate.Questions()); now != asked {
			t.Errorf("the verifier was asked %d times about an exempt session", now-asked)
		}
		alice.MustJoin("daily", "alice")
	})
}

// What one module has asked about a session says nothing of the profile that another asks by.
func TestJoin_EachMUCAsksByItsOwnProfileAboutUsersOfAHostWithoutUsher(t *testing.T) {
	const profiles = `  default:
    domain: meet.example.com
    guests: allow
    rooms: {create: allow, verify_domain: false}
    issuers: [{iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi], subjects: [meet.example.com]}]
  strict:
    domain: meet.example.com
    issuers: [{iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi], subjects: [meet.example.com]}]
`
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Profiles: profiles, Hosts: `Component "strict.meet.example.com" "muc"
			modules_enabled = { "muc_usher" }
			usher_profile = "strict"
			restrict_room_creation = false
			muc_room_locking = false`})
		host := s.Login(t, e2e.Who{Token: e2e.Token(t, nil)})
		host.MustJoin("daily", "host")
		host.MustJoin("daily@strict.meet.example.com", "host")
		guest := s.Login(t, e2e.Who{Domain: e2e.GuestDomain})
		guest.MustJoin("daily", "guest")
		guest.MustBeRefused("daily@strict.meet.example.com", "guest")
		guest.MustJoin("daily", "guest")
	})
}

func TestJoin_IsOneQuestionWithoutTheToken(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, nil)})
		alice.MustJoin("daily", "alice")
		bob := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"jti": "bob"})})
		bob.MustJoin("daily", "bob")
		var stages []string
		for _, q := range s.Gate.Questions() {
			if q.Stage == "recheck" {
				continue // the feed's first line asks about whoever was inside before it came
			}
			stages = append(stages, q.Stage)
			if q.Stage != "connect" && (q.Token != "" || q.Grant == "") {
				t.Errorf("the question %s went with the token, or without a grant", q.Body)
			}
		}
		if got := strings.Join(stages, " "); got != "connect create connect join" {
			t.Errorf("the verifier was asked: %s", got)
		}
	})
}

// Prosody makes a room and an occupant before it fires the first of these events, and would do it twice for each join.
func TestJoin_IsJudgedBeforeAnythingIsMadeForIt(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		s.Lua(t, `prosody.seen = "";
			for _, name in ipairs { "muc-room-pre-create", "muc-occupant-pre-join" } do
				module:context("conference.meet.example.com"):hook(name, function () prosody.seen = prosody.seen .. name .. " "; end, 1000);
			end`, nil)
		saw := func(what, want string) {
			t.Helper()
			var seen string
			s.Lua(t, `local seen = prosody.seen; prosody.seen = ""; return seen;`, &seen)
			if strings.TrimSpace(seen) != want {
				t.Errorf("%s: the room's modules saw %q, want %q", what, seen, want)
			}
		}
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"room": "daily"})})
		alice.MustBeRefused("weekly", "alice")
		saw("a refused join that would make a room", "")
		alice.MustJoin("daily", "alice")
		saw("a join that makes a room", "muc-room-pre-create muc-occupant-pre-join")
		bob := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"jti": "bob"})})
		bob.MustJoin("daily", "bob")
		saw("a join", "muc-occupant-pre-join")
		s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"jti": "carol", "room": "weekly"})}).MustBeRefused("daily", "carol")
		saw("a refused join", "")
	})
}

func TestJoin_TheTokenGivesTheAffiliationNotHavingComeFirst(t *testing.T) {
	cases := []struct {
		user e2e.Claims
		want string
	}{
		{e2e.Claims{"id": "1"}, "member"},
		{e2e.Claims{"id": "2", "moderator": true}, "owner"},
		{e2e.Claims{"id": "3", "moderator": "true"}, "owner"},
		{e2e.Claims{"id": "4", "affiliation": "teacher"}, "owner"},
		{e2e.Claims{"id": "5", "affiliation": "pupil"}, "member"},
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		for i, c := range cases {
			v := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"context": e2e.Claims{"user": c.user}})})
			self := v.MustJoin(fmt.Sprintf("room%d", i), "me")
			role := map[string]string{"member": "participant", "owner": "moderator"}[c.want]
			if item := self.Find("x/item"); item.Attr("affiliation") != c.want || item.Attr("role") != role {
				t.Errorf("user %v became %v, want %s and %s", c.user, item, c.want, role)
			}
		}
	})
}

func TestJoin_AnotherModuleReadsWhatTheTokenGranted(t *testing.T) {
	raw := e2e.Token(t, e2e.Claims{"room": "daily", "context": e2e.Claims{
		"user":  e2e.Claims{"id": "u1", "name": "Alice"},
		"group": "staff",
		"features": e2e.Claims{
			"recording": "true", "livestreaming": true, "transcription": "false", "sip-outbound-call": 1, "flip": "nonsense"},
	}})
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		for _, via := range browserTransports {
			alice := s.Login(t, e2e.Who{Via: via, Token: raw})
			var session struct {
				Features                   map[string]any
				User                       map[string]any
				Group, Room, Domain, Login string
			}
			s.Lua(t, fmt.Sprintf(`local session = prosody.full_sessions[%q];
				return {
					Features = session.jitsi_meet_context_features, User = session.jitsi_meet_context_user,
					Group = session.jitsi_meet_context_group, Room = session.jitsi_meet_room,
					Domain = session.jitsi_meet_domain, Login = session.auth_token and "yes" or "no",
				};`, alice.JID), &session)
			want := map[string]bool{"recording": true, "livestreaming": true, "transcription": false, "sip-outbound-call": true, "flip": false}
			for name, value := range want {
				if session.Features[name] != value {
					t.Errorf("by %s the feature %s reads as %#v, want %v", via, name, session.Features[name], value)
				}
			}
			if session.User["id"] != "u1" || session.Group != "staff" || session.Room != "daily" ||
				session.Domain != e2e.Domain || session.Login != "yes" {
				t.Errorf("by %s the session holds %+v", via, session)
			}
		}
	})
}

func TestJoin_AbsentFeaturesAreNotAnEmptyMap(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		for claims, want := range map[string]string{"absent": "nil", "empty": "table"} {
			context := e2e.Claims{"user": e2e.Claims{"id": "u1"}}
			if claims == "empty" {
				context["features"] = e2e.Claims{}
			}
			alice := s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"context": context})})
			var got string
			s.Lua(t, fmt.Sprintf(`return type(prosody.full_sessions[%q].jitsi_meet_context_features);`, alice.JID), &got)
			if got != want {
				t.Errorf("%s features became %s, want %s", claims, got, want)
			}
		}
	})
}
