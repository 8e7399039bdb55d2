package e2e_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// What is written into a token by people who want Jitsi's modules to throw, which leaves the client without an answer.
// Here it is about the answer alone; that each has its own reason is shown in internal/token.

var oddHeaders = []string{
	`null`, `1`, `true`, `"x"`, `[]`, `{}`, ``, `{`, `{"alg":null}`, `{"alg":5}`, `{"alg":{}}`, `{"alg":["HS256"]}`, `{"alg":"none"}`,
	`{"alg":"HS256","kid":5}`, `{"alg":"HS256","kid":null}`, `{"alg":"HS256","kid":[]}`, `{"alg":"HS256","kid":{}}`,
	`{"alg":"RS256","kid":"nobody"}`, `{"alg":"RS256","kid":"curve"}`, `{"alg":"RS256","kid":"../../etc/passwd"}`, `{"alg":"ES256","kid":"\u0000"}`,
	`{"alg":"RS256"}`, `{"alg":"HS256","typ":5}`, `{"alg":"HS256","crit":5}`, `{"alg":"HS256","jwk":7,"jku":7,"x5c":7}`,
}

var oddPayloads = []string{
	`null`, `1`, `true`, `"x"`, `[]`, `{}`, ``, `{`, "\xff\xfe", "{}{}", strings.Repeat("[", 3000),
}

// oddClaims take the place of a good token's.
var oddClaims = []string{
	`{"context":5}`, `{"context":true}`, `{"context":"x"}`, `{"context":[]}`, `{"context":{"user":5}}`, `{"context":{"user":[]}}`,
	`{"context":{"user":{"id":{}}}}`, `{"context":{"features":"all"}}`, `{"context":{"features":[true]}}`, `{"context":{"features":{"recording":{}}}}`,
	`{"context":{"room":"x"}}`, `{"context":{"room":{"lobby":{},"password":7,"security_bypass":"maybe"}}}`, `{"context":{"tenant":7}}`,
	`{"context":{"group":{"deep":[[[{}]]]}}}`, `{"room":7}`, `{"room":{}}`, `{"room":[]}`, `{"room":[[]]}`, `{"room":[7,null]}`, `{"room":null}`, `{"room":""}`,
	`{"iss":5}`, `{"iss":null}`, `{"aud":5}`, `{"aud":[5]}`, `{"aud":{}}`, `{"sub":[]}`, `{"sub":null}`, `{"sub":""}`,
	`{"exp":"x"}`, `{"exp":{}}`, `{"exp":1e308}`, `{"exp":-1}`, `{"nbf":"x"}`, `{"iat":[]}`, `{"jti":{}}`, `{"user_id":{}}`,
}

// oddRooms are claims with which a login may go well; then the join is answered.
var oddRooms = []string{
	`["daily","weekly"]`, `"["`, `"%"`, `"("`, `"daily["`, `"^(a*)*b$"`, `"%b()"`, `"%f[%w]daily"`, `"(.-)-(.-)-(.-)-(.-)x"`, `"` + strings.Repeat(".-", 200) + `x"`,
	`"DAILY"`, `"%W+"`, `"daily\u0000"`, `"\ud83d\ude00"`, `"[acme]daily"`, `"daily@conference.meet.example.com"`,
}

func TestHostile_NothingInATokenLeavesAClientWithoutAnAnswer(t *testing.T) {
	keys := oddKeyServer(t)
	profiles := `  default:
    domain: meet.example.com
    rooms: {create: allow}
    issuers:
      - {iss: my-app, audiences: [jitsi], algorithms: [HS256, RS256, ES256], keys: [{secret: "` + e2e.Secret + `", kid: secret}, {jwks_url: "` + keys + `"}]}
      - {iss: only-jwks, audiences: [jitsi], keys: [{jwks_url: "` + keys + `"}]}
`
	hostile := hostileTokens(t)
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Profiles: profiles, LogLevel: "info"})
		for i, raw := range hostile {
			mustBeAnswered(t, s, browserTransports[i%2], raw)
		}
		for _, room := range oddRooms {
			raw := withClaims(t, fmt.Sprintf(`{"room":%s,"context":{"room":{"regex":true}}}`, room))
			if v := mustBeAnswered(t, s, e2e.WebSocket, raw); v != nil {
				start := time.Now()
				_, err := v.Join(e2e.Context(t), e2e.Room("daily"), "me")
				var refused *client.StanzaError
				if err != nil && !errors.As(err, &refused) || time.Since(start) > usherTimeout {
					t.Errorf("a join with the room claim %s ended after %s with: %v", room, time.Since(start), err)
				}
			}
		}
		s.Login(t, e2e.Who{Token: withClaims(t, `{}`)}).MustJoin("daily", "after")
	})
}

// mustBeAnswered logs in, and gives who got in.
func mustBeAnswered(t *testing.T, s *e2e.Stack, via e2e.Via, raw string) *e2e.Visitor {
	t.Helper()
	v := s.Connect(t, e2e.Who{Via: via, Token: raw})
	start := time.Now()
	err := v.Client.Login(e2e.Context(t))
	var refused *client.LoginError
	if err != nil && !errors.As(err, &refused) || time.Since(start) > usherTimeout {
		t.Errorf("by %s %.200q was answered after %s with: %v", via, raw, time.Since(start), err)
	}
	if err != nil {
		v.Close()
		return nil
	}
	return v
}

func hostileTokens(t *testing.T) []string {
	t.Helper()
	good := withClaims(t, `{}`)
	all := []string{
		"..", ".", "...", "a", "a.b.c", "\x00", good + "\x00", strings.Replace(good, ".", " .", 1), strings.Replace(good, ".", ".\x00", 1),
		strings.Replace(good, ".", "\\", 1), strings.Replace(good, ".", "..", 1), good[:len(good)/2], strings.Repeat("A", 7000), "<xml/>", "'\"\x7f\u202e",
	}
	for _, header := range oddHeaders {
		all = append(all, signedText(t, header, `{"iss":"my-app"}`), signedText(t, header, `{"iss":"only-jwks"}`))
	}
	for _, payload := range oddPayloads {
		all = append(all, signedText(t, `{"alg":"HS256","kid":"secret"}`, payload))
	}
	for _, claims := range oddClaims {
		all = append(all, withClaims(t, claims))
	}
	return all
}

func signedText(t *testing.T, header, payload string) string {
	t.Helper()
	raw, err := mint.Raw(token.HS256, []byte(e2e.Secret), []byte(header), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func withClaims(t *testing.T, text string) string {
	t.Helper()
	claims := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(text), &claims); err != nil {
		t.Fatal(err)
	}
	all := e2e.Claims{}
	for name, value := range claims {
		all[name] = value
	}
	return e2e.SignedToken(t, mint.Spec{Alg: token.HS256, Key: []byte(e2e.Secret), Kid: "secret"}, all)
}

// oddKeyServer serves a set whose one key is of an elliptic curve.
func oddKeyServer(t *testing.T) string {
	t.Helper()
	_, public := mint.SharedKey(token.EdDSA)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=, =") // what ends a process that reads it with the usual library
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "OKP", "crv": "Ed25519", "kid": "curve", "x": base64.RawURLEncoding.EncodeToString(public.(ed25519.PublicKey))}}})
	}))
	t.Cleanup(server.Close)
	return server.URL
}
