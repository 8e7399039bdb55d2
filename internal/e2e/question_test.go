package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
)

// These ask the verifier as the shim does, without a Prosody between.

// answer is what came back for a question.
type answer struct {
	status int
	body   map[string]any
}

func (a answer) text(member string) string { s, _ := a.body[member].(string); return s }

// ask posts a question; each change may alter the request before it goes.
func ask(t *testing.T, url, question string, changes ...func(*http.Request)) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(e2e.Context(t), http.MethodPost, url+"/v1/verify", strings.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, change := range changes {
		change(req)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.ContentLength != int64(len(raw)) {
		t.Errorf("Content-Length is %d for %d bytes; the shim takes no answer without it", res.ContentLength, len(raw))
	}
	a := answer{status: res.StatusCode}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&a.body); err != nil {
		t.Fatalf("the answer of status %d is no JSON: %q", a.status, raw)
	}
	return a
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func connect(id, token string) string {
	return fmt.Sprintf(`{"id":%q,"stage":"connect","host":%q,"token":%q,"session":"s1"}`, id, e2e.Domain, token)
}

func TestQuestion_OnlyWhoMayAskIsAnswered(t *testing.T) {
	v := e2e.StartVerifier(t, e2e.Setup{})
	question := connect("11111111111111111111111111111111", e2e.Token(t, nil))
	port := v.URL[strings.LastIndex(v.URL, ":"):]
	cases := []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"the shim", func(*http.Request) {}, 200},
		{"the shim by another loopback name", func(r *http.Request) { r.Host = "localhost" + port }, 200},
		{"a foreign Host (DNS rebinding)", func(r *http.Request) { r.Host = "evil.example.com" + port }, 403},
		{"a page of another origin", header("Origin", "https://evil.example.com"), 403},
		{"a page of its own origin", header("Origin", v.URL), 403},
		{"a page of no origin", header("Origin", "null"), 403},
		{"a browser's form or script", header("Sec-Fetch-Site", "none"), 403},
		{"a body that is not declared JSON", header("Content-Type", "text/plain"), 415},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := ask(t, v.URL, question, c.change); got.status != c.want {
				t.Errorf("answered with status %d, want %d: %v", got.status, c.want, got.body)
			}
		})
	}
}

func TestQuestion_ARepeatKeepsItsDecisionAndAnotherBodyUnderItsIDIsRefused(t *testing.T) {
	v := e2e.StartVerifier(t, e2e.Setup{})
	const id = "22222222222222222222222222222222"
	question := connect(id, e2e.Token(t, nil))
	first, again := ask(t, v.URL, question), ask(t, v.URL, question)
	if first.status != 200 || first.text("decision_id") == "" || first.text("decision_id") != again.text("decision_id") {
		t.Errorf("a repeated question was decided as %q, then %q", first.text("decision_id"), again.text("decision_id"))
	}
	other := ask(t, v.URL, connect(id, e2e.Token(t, e2e.Claims{"jti": "another"})))
	if other.status != 400 {
		t.Errorf("another body under a known id was answered with status %d, want 400", other.status)
	}
	fresh := ask(t, v.URL, connect("33333333333333333333333333333333", e2e.Token(t, nil)))
	if fresh.text("decision_id") == first.text("decision_id") {
		t.Error("two questions share a decision id")
	}
}

func TestQuestion_AGrantIsWorthNothingOnAnotherHost(t *testing.T) {
	v := e2e.StartVerifier(t, e2e.Setup{Profiles: e2e.DefaultProfiles + `  second.example.com:
    issuers: [{iss: my-app, keys: [{secret: "the secret of the second host, another one"}], audiences: [jitsi], subjects: ["*"]}]
`})
	granted := ask(t, v.URL, connect("44444444444444444444444444444444", e2e.Token(t, nil)))
	join := func(id, host string) answer {
		return ask(t, v.URL, fmt.Sprintf(`{"id":%q,"stage":"create","host":%q,"grant":%q,"room":%q}`,
			id, host, granted.text("grant"), e2e.Room("daily")))
	}
	if here := join("55555555555555555555555555555555", e2e.Domain); here.body["allow"] != true {
		t.Errorf("the grant's own host got %v", here.body)
	}
	for i, host := range []string{"second.example.com", "third.example.com"} {
		if there := join(fmt.Sprintf("%032d", i), host); there.text("need") != "token" {
			t.Errorf("host %s got %v, want the need of a token", host, there.body)
		}
	}
}

func TestQuestion_AProfileThatDoesNotExistIsNoOtherProfile(t *testing.T) {
	v := e2e.StartVerifier(t, e2e.Setup{})
	got := ask(t, v.URL, fmt.Sprintf(`{"id":"66666666666666666666666666666666","stage":"connect","host":%q,"profile":"nobody","token":%q}`,
		e2e.Domain, e2e.Token(t, nil)))
	if got.body["allow"] != false || got.text("reason") != "profile_unknown" {
		t.Errorf("answered with %v", got.body)
	}
}
