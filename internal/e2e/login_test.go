package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// browserTransports are those that can carry a token in their URL.
var browserTransports = []e2e.Via{e2e.WebSocket, e2e.BOSH}

// username is that of a JID: Jitsi's client takes its first eight digits for the nick, if they are hexadecimal.
var username = regexp.MustCompile(`^[0-9a-f]{16}@`)

var endsInDecisionID = regexp.MustCompile(` \([0-9A-HJKMNP-TV-Z]{26}\)$`)

// mustSay checks the text of a refusal: the reason in plain words, and the decision id that leads to its record.
func mustSay(t *testing.T, text string, code reason.Code) {
	t.Helper()
	if !strings.HasPrefix(text, code.Info().Message) || !endsInDecisionID.MatchString(text) {
		t.Errorf("the refusal says %q; want %q and a decision id", text, code.Info().Message)
	}
}

func seconds(from time.Duration) int64      { return time.Now().Add(from).Unix() }
func milliseconds(from time.Duration) int64 { return time.Now().Add(from).UnixMilli() }

func TestLogin_ATokenIsJudgedBeforeItsBearerGetsIn(t *testing.T) {
	otherKey := mint.Spec{Alg: token.HS256, Key: []byte("a secret that the verifier does not know")}
	good := e2e.Token(t, nil)
	cases := []struct {
		name  string
		token string
		want  reason.Code // None: let in
	}{
		{"good", good, reason.None},
		{"with several audiences", e2e.Token(t, e2e.Claims{"aud": []string{"other", "jitsi"}}), reason.None},
		{"expired", e2e.Token(t, e2e.Claims{"exp": seconds(-time.Minute)}), reason.TokenExpired},
		{"not yet valid", e2e.Token(t, e2e.Claims{"nbf": seconds(time.Minute)}), reason.TokenNotYetValid},
		{"in milliseconds, valid", e2e.Token(t, e2e.Claims{
			"iat": milliseconds(0), "nbf": milliseconds(0), "exp": milliseconds(time.Hour)}), reason.None},
		{"in milliseconds, expired", e2e.Token(t, e2e.Claims{
			"iat": milliseconds(-time.Hour), "nbf": milliseconds(-time.Hour), "exp": milliseconds(-time.Minute),
		}), reason.TokenExpired},
		{"in milliseconds, not yet valid", e2e.Token(t, e2e.Claims{
			"nbf": milliseconds(time.Minute), "exp": milliseconds(time.Hour)}), reason.TokenNotYetValid},
		{"without an end", e2e.Token(t, e2e.Claims{"exp": nil}), reason.ClaimMissing},
		{"signed with another key", e2e.SignedToken(t, otherKey, nil), reason.SignatureInvalid},
		{"of another issuer", e2e.Token(t, e2e.Claims{"iss": "somebody"}), reason.IssuerNotAllowed},
		{"for another audience", e2e.Token(t, e2e.Claims{"aud": "other"}), reason.AudienceNotAllowed},
		{"for another domain", e2e.Token(t, e2e.Claims{"sub": "other.example.com"}), reason.SubjectNotAllowed},
		{"without a subject", e2e.Token(t, e2e.Claims{"sub": nil}), reason.SubjectMissing},
		{"that is none", "not.a.token", reason.TokenMalformed},
		{"with one byte changed", good[:len(good)-3] + flip(good[len(good)-3]) + good[len(good)-2:], reason.SignatureInvalid},
		{"missing", "", reason.TokenMissing},
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		for _, via := range browserTransports {
			for _, c := range cases {
				t.Run("a token "+c.name+" by "+string(via), func(t *testing.T) {
					who := e2e.Who{Via: via, Token: c.token}
					if c.want == reason.None {
						if v := s.Login(t, who); !username.MatchString(v.JID) {
							t.Errorf("its JID is %s, without a username that Jitsi's client can name it by", v.JID)
						}
						return
					}
					refused := s.MustRefuseLogin(t, who)
					if refused.Condition != "not-allowed" {
						t.Errorf("refused with <%s/>; want <not-allowed/>, whose text Jitsi's client shows", refused.Condition)
					}
					mustSay(t, refused.Text, c.want)
				})
			}
		}
	})
}

// flip gives another character of the base64url alphabet.
func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestLogin_ATokenIsTakenFromTheAuthorizationHeader(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		for _, via := range browserTransports {
			header := http.Header{"Authorization": {"Bearer " + e2e.Token(t, e2e.Claims{"room": "daily"})}}
			s.Login(t, e2e.Who{Via: via, Header: header}).MustJoin("daily", string(via))
		}
	})
}

func TestLogin_ATokenThatAnotherModuleSetIsTaken(t *testing.T) {
	modules, err := filepath.Abs("testdata/modules")
	if err != nil {
		t.Fatal(err)
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{PluginPaths: []string{modules}, Modules: []string{"e2e_session"}})
		for _, via := range browserTransports {
			header := http.Header{"X-Token": {e2e.Token(t, e2e.Claims{"room": "daily"})}}
			s.Login(t, e2e.Who{Via: via, Header: header}).MustJoin("daily", string(via))
		}
	})
}

func TestLogin_AnRSATokenIsProvenByItsPEMKey(t *testing.T) {
	private, public := mint.SharedKey(token.RS256)
	publicPEM, err := mint.PublicPEM(public)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "app.pub.pem")
	if err := os.WriteFile(keyFile, publicPEM, 0o644); err != nil {
		t.Fatal(err)
	}
	profiles := fmt.Sprintf(`  default:
    domain: meet.example.com
    rooms: {create: allow}
    issuers: [{iss: my-app, keys: [{pem: %s}], audiences: [jitsi]}]
`, keyFile)
	raw := e2e.SignedToken(t, mint.Spec{Alg: token.RS256, Key: private}, e2e.Claims{"room": "daily"})
	// The classic confusion: the public key, which anybody has, taken for a shared secret.
	confused := e2e.SignedToken(t, mint.Spec{Alg: token.HS256, Key: publicPEM}, nil)
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Profiles: profiles})
		s.Login(t, e2e.Who{Token: raw}).MustJoin("daily", "alice")
		mustSay(t, s.MustRefuseLogin(t, e2e.Who{Token: confused}).Text, reason.AlgorithmNotAllowed)
	})
}

func TestLogin_AGoodTokenOpensNothingForTheSameTokenWithAnotherSignature(t *testing.T) {
	good := e2e.Token(t, nil)
	cut := strings.LastIndex(good, ".") + 1
	other := e2e.Token(t, e2e.Claims{"room": "other"})
	forged := good[:cut] + other[strings.LastIndex(other, ".")+1:]
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		s.Login(t, e2e.Who{Token: good})
		mustSay(t, s.MustRefuseLogin(t, e2e.Who{Token: forged}).Text, reason.SignatureInvalid)
	})
}

func TestLogin_ATokenOfOneHostIsNothingToAnotherHostsProfile(t *testing.T) {
	const second = `  second.example.com:
    issuers: [{iss: my-app, keys: [{secret: "the secret of the second host, another one"}], audiences: [jitsi], subjects: ["*"]}]
`
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{
			Profiles: e2e.DefaultProfiles + second,
			Hosts: `VirtualHost "second.example.com"
				authentication = "usher"`,
		})
		raw := e2e.Token(t, nil)
		s.Login(t, e2e.Who{Token: raw})
		refused := s.MustRefuseLogin(t, e2e.Who{Token: raw, Domain: "second.example.com"})
		mustSay(t, refused.Text, reason.SignatureInvalid)
	})
}

func TestLogin_AGuestIsLetInWhereTheProfileSaysSo(t *testing.T) {
	const profiles = `  default:
    guests: allow
    rooms: {create: allow}
    issuers: [{iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi], subjects: [meet.example.com]}]
`
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Profiles: profiles})
		for _, via := range everyTransport {
			guest := s.Login(t, e2e.Who{Via: via})
			room := "daily-" + strings.ToLower(string(via))
			if refused := guest.MustBeRefused(room, "guest"); refused.JitsiCode != "room-does-not-exist" {
				t.Errorf("a guest opens no room; refused with %v, code %q", refused, refused.JitsiCode)
			}
			s.Login(t, e2e.Who{Token: e2e.Token(t, nil)}).MustJoin(room, "host")
			guest.MustJoin(room, "guest")
		}
	})
}

func TestLogin_ARefusedTokenLeavesNothingBehindOnItsStream(t *testing.T) {
	const profiles = `  default:
    guests: allow
    issuers: [{iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi], subjects: [meet.example.com]}]
`
	bad := e2e.Token(t, e2e.Claims{
		"exp": seconds(-time.Minute), "context": e2e.Claims{"user": e2e.Claims{"id": "mallory"}, "features": e2e.Claims{"recording": true}},
	})
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Profiles: profiles})
		for _, via := range browserTransports {
			v := s.Connect(t, e2e.Who{Via: via, Token: bad})
			if err := v.Authenticate(e2e.Context(t)); err == nil {
				t.Fatal("an expired token was let in")
			}
			// The second try on the same stream is a guest's, since the token is used up.
			if err := v.AuthenticateAgain(e2e.Context(t)); err != nil {
				t.Fatal(err)
			}
			if err := v.Bind(e2e.Context(t)); err != nil {
				t.Fatal(err)
			}
			var left string
			s.Lua(t, fmt.Sprintf(`local left = {};
				for name in pairs(prosody.full_sessions[%q]) do
					if name == "auth_token" or name == "usher" or tostring(name):find("^jitsi_meet_") then
						left[#left + 1] = name;
					end
				end
				return table.concat(left, " ");`, v.JID), &left)
			if left != "" {
				t.Errorf("by %s the refused token left %s", via, left)
			}
		}
	})
}

// "Try again" is no verdict on the token: it would be false to take the second try for a guest's.
func TestLogin_ATokenThatCouldNotBeJudgedIsTriedAgainOnTheSameStream(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Profiles: strings.Replace(e2e.DefaultProfiles, "rooms:", "guests: allow\n    rooms:", 1)})
		for _, via := range browserTransports {
			s.Gate.AnswerInstead(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
			v := s.Connect(t, e2e.Who{Via: via, Token: e2e.Token(t, nil)})
			var refused *client.LoginError
			if err := v.Authenticate(e2e.Context(t)); !errors.As(err, &refused) || refused.Condition != "temporary-auth-failure" {
				t.Fatalf("by %s, without a verdict: %v", via, err)
			}
			s.Gate.AnswerInstead(nil)
			if err := v.AuthenticateAgain(e2e.Context(t)); err != nil {
				t.Fatal(err)
			}
			if err := v.Bind(e2e.Context(t)); err != nil {
				t.Fatal(err)
			}
			var bearer bool
			s.Lua(t, fmt.Sprintf(`local s = prosody.full_sessions[%q]; return s.auth_token ~= nil and s.usher_token == nil;`, v.JID), &bearer)
			if !bearer {
				t.Errorf("by %s the second try was taken for a guest's", via)
			}
		}
	})
}

// Jitsi's client takes the text out of a refusal by a pattern of its own, and shows it as it is on the wire: no reason may
// have a character in it that XML escapes.
func TestLogin_JitsisClientFindsTheReasonInTheRefusal(t *testing.T) {
	pattern := regexp.MustCompile(`<failure.*><not-allowed/><text>(.*)</text></failure>`)
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		refusedAs := e2e.Token(t, e2e.Claims{"iss": "somebody"})
		ctx := e2e.Context(t)
		conn, _, err := websocket.Dial(ctx, s.Prosody.WebSocketURL()+"?token="+refusedAs,
			&websocket.DialOptions{Subprotocols: []string{"xmpp"}, Host: e2e.Domain})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		for _, text := range []string{
			`<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0' to='` + e2e.Domain + `'/>`,
			`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>`,
		} {
			if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		var raw string
		for !strings.HasPrefix(raw, "<failure") {
			_, message, err := conn.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			raw = string(message)
		}
		shown := pattern.FindStringSubmatch(raw)
		if shown == nil {
			t.Fatalf("it finds no text in %s", raw)
		}
		mustSay(t, shown[1], reason.IssuerNotAllowed)
	})
}
