package server_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/sqlitestore"
	"github.com/usher-im/usher/internal/audit/storetest"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/server"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// as asks the admin listener as the bearer of a role.
func (n *node) as(role credential.Role, method, path, body string, edits ...edit) reply {
	n.t.Helper()
	name := fmt.Sprint(role, "-", time.Now().UnixNano())
	secret, err := n.who.Create(name, role, time.Now())
	must(n.t, err)
	return n.do(method, n.server.AdminAddress(), path, body, append(edits, header("Authorization", "Bearer "+secret))...)
}

func form(values ...string) (string, edit) {
	v := url.Values{}
	for i := 0; i < len(values); i += 2 {
		v.Set(values[i], values[i+1])
	}
	return v.Encode(), header("Content-Type", "application/x-www-form-urlencoded")
}

func TestRevocations_AreMadeReadAndLifted(t *testing.T) {
	n := start(t, base)
	made := n.as(credential.Revoke, "POST", "/v1/revocations", `{"selector":"jti","issuer":"my-app","value":"abc","reason":"leaked in a ticket","issued_before":"2026-11-24T10:00:00Z"}`)
	if made.status != 201 || made.body["new"] != true || made.body["replicated"] != true || !strings.HasPrefix(made.body["actor"].(string), "cred:revoke-") || made.body["issued_before"] != "2026-11-24T10:00:00Z" {
		t.Fatalf("made: %+v", made)
	}
	id := made.body["id"].(string)
	if again := n.as(credential.Revoke, "POST", "/v1/revocations", `{"selector":"jti","value":"abc"}`); again.status != 200 || again.body["id"] != id || again.body["issued_before"] != nil {
		t.Errorf("known, and now without a time, by the only issuer: %+v", again)
	}
	if shown := n.as(credential.Audit, "GET", "/v1/revocations/"+id, ""); shown.status != 200 || shown.body["value"] != "abc" || shown.body["new"] != nil {
		t.Errorf("shown: %+v", shown)
	}
	if lifted := n.as(credential.Revoke, "DELETE", "/v1/revocations/"+id, ""); lifted.status != 200 || lifted.body["id"] != id {
		t.Errorf("lifted: %+v", lifted)
	}
	for _, method := range []string{"GET", "DELETE"} {
		for _, path := range []string{id, "none", strings.Repeat("0", 32)} {
			if r := n.as(credential.Admin, method, "/v1/revocations/"+path, ""); r.status != 404 || r.body["type"] != "urn:usher:problem:no-such-revocation" {
				t.Errorf("%s %s: %+v", method, path, r)
			}
		}
	}
	var kinds []string
	for _, e := range n.audit.all() {
		if e.RevocationID == id && e.JTI == "abc" && e.Issuer == "my-app" && strings.HasPrefix(e.Actor, "cred:revoke-") {
			kinds = append(kinds, string(e.Kind))
		}
	}
	if fmt.Sprint(kinds) != "[revocation revocation lift]" {
		t.Errorf("the audit has %v", kinds)
	}
}

func TestRevocations_DenyOnceTheyAreAnswered(t *testing.T) {
	n := start(t, base)
	raw := mintToken(t, "a")
	body := question(t, map[string]any{"token": raw})
	if r := n.verify(body); r.body["allow"] != true {
		t.Fatalf("before: %+v", r)
	}
	asked, err := json.Marshal(map[string]any{"selector": "token", "value": raw})
	must(t, err)
	made := n.as(credential.Revoke, "POST", "/v1/revocations", string(asked))
	if made.status != 201 || made.body["expires_at"] == nil || strings.Contains(made.raw, "eyJ") {
		t.Fatalf("made: %+v", made)
	}
	if r := n.verify(question(t, map[string]any{"id": "2", "token": raw})); r.body["reason"] != "token_revoked" {
		t.Fatalf("after: %+v", r)
	}
	last := n.audit.all()[len(n.audit.all())-1]
	if last.RevocationID != made.body["id"] {
		t.Errorf("the deny names revocation %q, made was %q", last.RevocationID, made.body["id"])
	}
}

func TestRevocations_RolesAreHeldTo(t *testing.T) {
	n := start(t, base)
	one := `{"selector":"jti","value":"abc"}`
	token, asForm := form("token", mintToken(t, "a"))
	for _, c := range []struct {
		role         credential.Role
		method, path string
		body         string
		edits        []edit
		allowed      bool
	}{
		{credential.Audit, "POST", "/v1/revocations", one, nil, false},
		{credential.Verify, "POST", "/v1/revocations", one, nil, false},
		{credential.Revoke, "POST", "/v1/revocations", one, nil, true},
		{credential.Admin, "POST", "/v1/revocations", one, nil, true},
		{credential.Verify, "GET", "/v1/revocations", "", nil, false},
		{credential.Audit, "GET", "/v1/revocations", "", nil, true},
		{credential.Revoke, "GET", "/v1/revocations", "", nil, true},
		{credential.Audit, "DELETE", "/v1/revocations/x", "", nil, false},
		{credential.Revoke, "DELETE", "/v1/revocations/x", "", nil, true},
		{credential.Verify, "POST", "/oauth/revoke", token, []edit{asForm}, false},
		{credential.Revoke, "POST", "/oauth/revoke", token, []edit{asForm}, true},
		{credential.Revoke, "POST", "/oauth/introspect", token, []edit{asForm}, false},
		{credential.Verify, "POST", "/oauth/introspect", token, []edit{asForm}, true},
	} {
		if r := n.as(c.role, c.method, c.path, c.body, c.edits...); (r.status != 403) != c.allowed {
			t.Errorf("%s %s as %s: %d", c.method, c.path, c.role, r.status)
		}
	}
	if r := n.as(credential.Verify, "GET", "/v1/revocations", ""); !strings.Contains(r.raw, "one with role audit or revoke or admin.") {
		t.Errorf("not all roles that do are named: %s", r.raw)
	}
}

func TestRevocations_MistakesAreOneSentence(t *testing.T) {
	n := start(t, strings.Replace(base, "      - iss: my-app", `      - {iss: other, keys: [{secret: "`+secret+`"}], audiences: [jitsi]}`+"\n      - iss: my-app", 1))
	for body, says := range map[string]string{
		`[]`:                                 "Send a JSON object",
		`{"selector":"session","value":"x"}`: "use token, jti",
		`{"selector":"room","value":"x","issued_befor":"now"}`:            `There is no member "issued_befor": they are selector`,
		`{"items":[{"selector":"room","value":"x","expires":"7d"}]}`:      `There is no member "expires"`,
		`{"selector":"room","value":"x"}{"selector":"room","value":"y"}`:  "and nothing after it",
		`{"selector":"room","value":"caf` + "\xe9" + `"}`:                 "not UTF-8",
		`{"selector":"jti","value":"x"}`:                                  "name one of the configured (my-app, other)",
		`{"selector":"token","value":"eyJ.nonsense"}`:                     "neither a token nor a fingerprint",
		`{"selector":"room","value":"x","issued_before":"soon"}`:          "The value of issued_before is not a time",
		`{"selector":"room","value":"x","expires_at":"2000-01-01"}`:       "would have expired",
		`{"items":[{"selector":"room","value":"x"},{"selector":"room"}]}`: "Item 1",
		`{"items":[]}`: "There is nothing in items",
		`{"items":[{"selector":"room","value":"x"}],"expires_at":"7d"}`:             "write all else into each of the items",
		`{"items":[{"selector":"room","value":"x"}],"selector":"room","value":"y"}`: "write all else into each of the items",
		`{"items":[` + strings.Repeat(`{},`, 1000) + `{}]}`:                         "At most 1000",
	} {
		r := n.as(credential.Revoke, "POST", "/v1/revocations", body)
		if r.status != 400 || !strings.Contains(fmt.Sprint(r.body["detail"]), says) || strings.Contains(r.raw, "eyJ") {
			t.Errorf("%.60s: %+v; it should say %q", body, r, says)
		}
	}
	if r := n.as(credential.Audit, "GET", "/v1/revocations", ""); len(r.body["items"].([]any)) != 0 {
		t.Errorf("something was revoked: %s", r.raw)
	}
	for path, says := range map[string]string{
		"?cursor=x": "cursor", "?limit=many": "limit", "?limit=0": "limit", "?limit=1001": "limit is a number from 1 to 1000", "?selector=jti&selector=room": "Selector: it stands twice",
		"?selector=session": "use token", "?isuer=my-app": "There is no parameter isuer", "?selector=token&value=eyJ.a.b": "fingerprint",
	} {
		if r := n.as(credential.Audit, "GET", "/v1/revocations"+path, ""); r.status != 400 || !strings.Contains(r.raw, says) || strings.Contains(r.raw, "eyJ") {
			t.Errorf("%s: %+v", path, r)
		}
	}
}

func TestRevocations_ListPagesAndFilters(t *testing.T) {
	n := start(t, base)
	var items []string
	for i := range 25 {
		items = append(items, fmt.Sprintf(`{"selector":"jti","value":"j%d"}`, i))
	}
	items = append(items, `{"selector":"room","value":"Stand%20Up"}`)
	if r := n.as(credential.Revoke, "POST", "/v1/revocations", `{"items":[`+strings.Join(items, ",")+`]}`); r.status != 200 || len(r.body["items"].([]any)) != 26 {
		t.Fatalf("made: %+v", r)
	}
	seen, cursor := 0, ""
	for pages := 1; ; pages++ {
		r := n.as(credential.Audit, "GET", "/v1/revocations?limit=10&selector=jti&cursor="+url.QueryEscape(cursor), "")
		for _, item := range r.body["items"].([]any) {
			if want := fmt.Sprint("j", 24-seen); item.(map[string]any)["value"] != want {
				t.Fatalf("item %d is %v, want %s", seen, item, want)
			}
			seen++
		}
		if r.body["next"] == nil {
			if pages != 3 || seen != 25 {
				t.Errorf("%d items on %d pages", seen, pages)
			}
			break
		}
		cursor = r.body["next"].(string)
	}
	if r := n.as(credential.Audit, "GET", "/v1/revocations?selector=room&value=STAND%20UP", ""); len(r.body["items"].([]any)) != 1 {
		t.Errorf("by room: %s", r.raw)
	}
	for _, selector := range []string{"", "&selector=token", "&selector=jti"} {
		if r := n.as(credential.Audit, "GET", "/v1/revocations?value="+mintToken(t, "a")+selector, ""); r.status != 400 || !strings.Contains(r.raw, "fingerprint") {
			t.Errorf("by a token%s: %d %s", selector, r.status, r.raw)
		}
	}
}

// Who revokes what another has revoked before does it for a reason of their own.
func TestRevocations_EventSaysWhyEachWasMade(t *testing.T) {
	n := start(t, base)
	n.as(credential.Revoke, "POST", "/v1/revocations", `{"selector":"user","value":"u1","reason":"left","expires_at":"2h","issued_before":"2026-11-24T10:00:00Z"}`)
	n.as(credential.Revoke, "POST", "/v1/revocations", `{"selector":"user","value":"u1","reason":"stole","expires_at":"2098-01-01","issued_before":"2026-11-24"}`)
	n.as(credential.Revoke, "POST", "/v1/revocations", `{"selector":"user","value":"u1"}`)
	all := n.audit.all()
	for i, says := range []string{"user, issued before 2026-11-24T10:00:00Z, until 2", "user, issued before 2026-11-24T10:00:00Z, until 2098-01-01T00:00:00Z: stole", "user"} {
		if e := all[i]; !strings.HasPrefix(e.Detail, says) || i > 0 && e.Detail != says {
			t.Errorf("event %d says %q, not %q", i, e.Detail, says)
		}
	}
	if all[0].Actor == all[1].Actor || !strings.HasSuffix(all[0].Detail, ": left") {
		t.Errorf("the first is %+v", all[0])
	}
}

func TestRevocations_DryRunChangesNothing(t *testing.T) {
	n := start(t, base)
	r := n.as(credential.Revoke, "POST", "/v1/revocations", `{"selector":"user","value":"u1","issued_before":"now","dry_run":true}`)
	if r.status != 200 || r.body["dry_run"] != true || r.body["id"] == nil {
		t.Fatalf("dry run: %+v", r)
	}
	if r := n.as(credential.Revoke, "POST", "/v1/revocations?dry_run=true", `{"selector":"user","value":"u1"}`); r.status != 400 || !strings.Contains(r.raw, "members of the body") {
		t.Errorf("asked for in the URL: %+v", r)
	}
	if r := n.as(credential.Audit, "GET", "/v1/revocations", ""); len(r.body["items"].([]any)) != 0 || len(n.audit.all()) != 0 {
		t.Errorf("it did something: %s", r.raw)
	}
	id := n.as(credential.Revoke, "POST", "/v1/revocations", `{"selector":"user","value":"u1"}`).body["id"].(string)
	if r := n.as(credential.Revoke, "DELETE", "/v1/revocations/"+id+"?dry_run=true", ""); r.status != 400 {
		t.Errorf("lifted on trial: %+v", r)
	}
	if r := n.as(credential.Audit, "GET", "/v1/revocations/"+id, ""); r.status != 200 {
		t.Errorf("it was lifted: %s", r.raw)
	}
}

func TestDryRun_CountsTheSessionsThatAreMet(t *testing.T) {
	store, err := sqlitestore.Open(t.Context(), t.TempDir(), sqlitestore.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	now := time.Now()
	var events []audit.Event
	for n, e := range []audit.Event{
		{Session: "a", Subject: "acme", UserID: "ada"},                                                         // the URL names no tenant
		{Session: "a", Subject: "acme", UserID: "ada", Room: "[acme]standup@conference.example.com"},           // the same session
		{Session: "b", Subject: "ACME", Tenant: "acme", Room: "[acme]standup@conference.example.com"},          // folded, they are one
		{Session: "c", Subject: "*", Tenant: "acme", Room: "[acme]standup@conference.example.com"},             // of no tenant
		{Session: "d", Subject: "globex", Tenant: "globex", Room: "[globex]standup@conference.example.com"},    // of another
		{Session: "e", Subject: "acme", Tenant: "acme", UserID: "bob", Room: "daily@conference.example.com"},   // in another room
		{Session: "f", Subject: "acme", Verdict: audit.Deny, Room: "[acme]standup@conference.example.com"},     // not let in
		{Session: "g", Subject: "globex", Tenant: "acme", UserID: "ada", Room: "daily@conference.example.com"}, // by the URL alone
	} {
		e.Time = now.Add(time.Duration(n-20) * time.Minute)
		e.ID, e.Kind, e.Proven, e.Issuer, e.Verdict = audit.NewID(e.Time), audit.Decision, true, "my-app", cmp.Or(e.Verdict, audit.Allow)
		events = append(events, e)
	}
	must(t, store.Append(t.Context(), storetest.Rows(events)))
	for _, c := range []struct {
		selector revocation.Selector
		value    string
		want     int
	}{
		{revocation.SelectRoom, "[acme]", 3}, {revocation.SelectRoom, "[acme]standup", 2}, {revocation.SelectRoom, "standup", 4},
		{revocation.SelectRoom, "[Globex]", 2}, {revocation.SelectRoom, "[other]", 0}, {revocation.SelectUser, "ada", 2},
	} {
		r := revocation.Revocation{Selector: c.selector, Value: c.value}
		if c.selector.Scoped() {
			r.Issuer = "my-app"
		}
		r, err := revocation.Prepare(r, now)
		must(t, err)
		n, more, err := server.RecentSessions(audit.NewReader(store, nil), &config.Config{}, r, nil, now.Add(-time.Hour))
		if n != c.want || more || err != nil {
			t.Errorf("%s %s would meet %d sessions (more: %v, %v), want %d", c.selector, c.value, n, more, err, c.want)
		}
	}
}

func TestDryRun_CountsAKeyUnderEachOfItsNames(t *testing.T) {
	store, err := sqlitestore.Open(t.Context(), t.TempDir(), sqlitestore.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	now := time.Now()
	var events []audit.Event
	for n, e := range []audit.Event{{Session: "a", Kid: "old"}, {Session: "a", Kid: "new"}, {Session: "b", Kid: "new"}, {Session: "c", Kid: "other"}} {
		e.Time = now.Add(time.Duration(n-20) * time.Minute)
		e.ID, e.Kind, e.Proven, e.Issuer, e.Verdict = audit.NewID(e.Time), audit.Decision, true, "my-app", audit.Allow
		events = append(events, e)
	}
	must(t, store.Append(t.Context(), storetest.Rows(events)))
	r, err := revocation.Prepare(revocation.Revocation{Selector: revocation.SelectKey, Issuer: "my-app", Value: "old"}, now)
	must(t, err)
	if n, more, err := server.RecentSessions(audit.NewReader(store, nil), &config.Config{}, r, []string{"old", "new"}, now.Add(-time.Hour)); n != 2 || more || err != nil {
		t.Errorf("%d sessions (more: %v, %v), want 2", n, more, err)
	}
}

// A key that serves any iss is met under each that its tokens name, but not the key of the same ID that another issuer has.
func TestDryRun_CountsAKeyThatServesAnyIssuer(t *testing.T) {
	store, err := sqlitestore.Open(t.Context(), t.TempDir(), sqlitestore.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	now := time.Now()
	var events []audit.Event
	for n, e := range []audit.Event{{Session: "a", Issuer: "whoever"}, {Session: "b", Issuer: "somebody"}, {Session: "c", Issuer: "my-app"}, {Session: "d", Issuer: "my-app", Profile: "open"}, {Session: "e", Issuer: "*"}} {
		e.Time = now.Add(time.Duration(n-20) * time.Minute)
		e.ID, e.Kind, e.Proven, e.Kid, e.Verdict, e.Profile = audit.NewID(e.Time), audit.Decision, true, "k", audit.Allow, cmp.Or(e.Profile, "default")
		events = append(events, e)
	}
	must(t, store.Append(t.Context(), storetest.Rows(events)))
	r, err := revocation.Prepare(revocation.Revocation{Selector: revocation.SelectKey, Issuer: "*", Value: "k"}, now)
	must(t, err)
	cfg := &config.Config{Profiles: map[string]*config.Profile{"default": {Issuers: []*config.Issuer{{Iss: "*"}, {Iss: "my-app"}}}, "open": {Issuers: []*config.Issuer{{Iss: "*"}}}}}
	if n, more, err := server.RecentSessions(audit.NewReader(store, nil), cfg, r, []string{"k"}, now.Add(-time.Hour)); n != 4 || more || err != nil {
		t.Errorf("%d sessions (more: %v, %v), want 4", n, more, err)
	}
}

func TestRevocations_SayOfAKeyThatItIsNotThere(t *testing.T) {
	n := start(t, base)
	for value, want := range map[string]bool{"default": false, "Default": true} {
		r := n.as(credential.Revoke, "POST", "/v1/revocations", `{"selector":"kid","value":"`+value+`"}`)
		if r.status != 201 || strings.Contains(fmt.Sprint(r.body["cautions"]), `the issuer "my-app" has no key with the ID`) != want {
			t.Errorf("%s: %s", value, r.raw)
		}
	}
}

func TestOAuthRevoke_IsRFC7009(t *testing.T) {
	n := start(t, base)
	raw := mintToken(t, "a")
	body, asForm := form("token", raw, "token_type_hint", "access_token")
	for range 2 {
		if r := n.as(credential.Revoke, "POST", "/oauth/revoke", body, asForm); r.status != 200 {
			t.Fatalf("revoked: %+v", r)
		}
	}
	if r := n.verify(question(t, map[string]any{"token": raw})); r.body["reason"] != "token_revoked" {
		t.Errorf("afterwards: %+v", r)
	}
	other := mintToken(t, "b")
	fromFile, _ := form("token", other+"\n")
	if r := n.as(credential.Revoke, "POST", "/oauth/revoke", fromFile, asForm); r.status != 200 {
		t.Errorf("as a file holds it: %+v", r)
	}
	if r := n.verify(question(t, map[string]any{"id": "2", "token": other})); r.body["reason"] != "token_revoked" {
		t.Errorf("a token with the end of its line was answered as revoked, and is not: %+v", r)
	}
	nonsense, _ := form("token", "nonsense")
	if r := n.as(credential.Revoke, "POST", "/oauth/revoke", nonsense, asForm); r.status != 200 {
		t.Errorf("what is no token: %+v", r)
	}
	none, _ := form("token_type_hint", "access_token")
	for _, r := range []reply{
		n.as(credential.Revoke, "POST", "/oauth/revoke", none, asForm),
		n.as(credential.Revoke, "POST", "/oauth/revoke", `{"token":"x"}`),
		n.as(credential.Revoke, "POST", "/oauth/revoke?"+body, "", asForm),
		n.as(credential.Revoke, "POST", "/oauth/revoke", fromFile+"&token=another", asForm), // which of them?
	} {
		if r.status != 400 || r.body["error"] != "invalid_request" {
			t.Errorf("without a token: %+v", r)
		}
	}
}

func TestOAuthRevoke_DoesNotCallRevokedWhatTheStoreMayLose(t *testing.T) {
	cfg, _, err := config.Parse("usher.yaml", []byte(base), nil)
	must(t, err)
	redis := redistest.Serve(t, "--appendonly", "no")
	ledger := revocation.Open(redisstore.Open(redistest.Connect(t, config.Redis{URL: redis.URL(), Prefix: "usher:"}), redisstore.Options{}), revocation.Options{})
	t.Cleanup(func() { must(t, ledger.Close()) })
	<-ledger.Loaded()
	desk := &server.Desk{Ledger: ledger, Audit: &recorder{}, Config: func() *config.Config { return cfg }}
	n := startWith(t, base, server.Options{Verify: desk.Routes()})
	body, asForm := form("token", mintToken(t, "a"))
	if r := n.do("POST", n.server.VerifyAddress(), "/oauth/revoke", body, asForm); r.status != 202 {
		t.Errorf("a Redis without a log took it, and the answer is %d", r.status)
	}
}

func TestIntrospect_WhereNobodyCanSayATokenIsNotCalledInactive(t *testing.T) {
	silent := httptest.NewServer(http.NotFoundHandler())
	defer silent.Close()
	n := start(t, strings.Replace(base, `[{secret: "`+secret+`"}]`, `[{jwks_url: "`+silent.URL+`"}]`, 1))
	key, _ := mint.SharedKey(token.ES256)
	raw, err := mint.Token(mint.Spec{Alg: token.ES256, Key: key, Kid: "k", Claims: map[string]any{"iss": "my-app"}})
	must(t, err)
	body, asForm := form("token", raw)
	r := n.as(credential.Verify, "POST", "/oauth/introspect", body, asForm)
	if r.status != 503 || r.body["error"] != "temporarily_unavailable" || r.header.Get("Retry-After") == "" {
		t.Errorf("%+v", r)
	}
}

func TestIntrospect_IsRFC7662(t *testing.T) {
	n := start(t, base)
	raw := mintToken(t, "a")
	body, asForm := form("token", raw)
	r := n.as(credential.Verify, "POST", "/oauth/introspect", body, asForm)
	if r.status != 200 || r.body["active"] != true || r.body["iss"] != "my-app" || r.body["sub"] != "meet.example.com" || r.body["aud"] != "jitsi" || r.body["jti"] != "a" || r.body["exp"] == nil {
		t.Fatalf("an active token: %+v", r)
	}
	fromFile, _ := form("token", raw+"\n")
	if r := n.as(credential.Verify, "POST", "/oauth/introspect", fromFile, asForm); r.body["active"] != true {
		t.Errorf("as a file holds it: %+v", r)
	}
	inCapitals := header("Content-Type", "Application/X-WWW-Form-URLEncoded; charset=UTF-8")
	if r := n.as(credential.Verify, "POST", "/oauth/introspect", body, inCapitals); r.body["active"] != true {
		t.Errorf("a form by a name in capitals: %+v", r)
	}
	forged, _ := form("token", raw[:len(raw)-6]+"AAAAAA")
	nonsense, _ := form("token", "nonsense")
	for what, body := range map[string]string{"a forged token": forged, "no token": nonsense} {
		if r := n.as(credential.Verify, "POST", "/oauth/introspect", body, asForm); r.status != 200 || r.raw != `{"active":false}` {
			t.Errorf("%s: %+v", what, r)
		}
	}
	if r := n.as(credential.Revoke, "POST", "/oauth/revoke", body, asForm); r.status != 200 {
		t.Fatal(r)
	}
	if r := n.as(credential.Verify, "POST", "/oauth/introspect", body, asForm); r.raw != `{"active":false}` {
		t.Errorf("a revoked token: %+v", r)
	}
	unknown, _ := form("token", raw, "profile", "nobody")
	if r := n.as(credential.Verify, "POST", "/oauth/introspect", unknown, asForm); r.status != 400 {
		t.Errorf("an unknown profile: %+v", r)
	}
	if len(n.audit.all()) != 1 {
		t.Errorf("introspection left traces: %+v", n.audit.all())
	}
}

func TestIntrospect_WhereAProfileHasNoDomainItsNameTheHostOrSubStandsForIt(t *testing.T) {
	nameless := strings.Replace(base, "    domain: meet.example.com\n", "", 1)
	named := strings.Replace(nameless, "  default:", "  meet.example.com:", 1)
	_, rules, _ := strings.Cut(nameless, "  default:\n")
	both := nameless + "  meet.example.com:\n" + rules + "        required_claims: [email]\n"
	wildcard, err := mint.Token(mint.Spec{Alg: token.HS256, Key: secret, Claims: map[string]any{
		"iss": "my-app", "aud": "jitsi", "sub": "*", "exp": time.Now().Add(time.Hour).Unix(),
	}})
	must(t, err)
	forged := mintToken(t, "a")
	forged = forged[:len(forged)-6] + "AAAAAA"
	for name, c := range map[string]struct {
		yaml   string
		fields []string
		want   string
	}{
		"a host":                        {nameless, []string{"token", mintToken(t, "a"), "host", "meet.example.com"}, `"active":true`},
		"a profile of no host's name":   {nameless, []string{"token", mintToken(t, "a"), "profile", "default"}, `"active":true`},
		"neither":                       {nameless, []string{"token", mintToken(t, "a")}, `"active":true,"token_type":"Bearer","iss":"my-app","sub":"meet.example.com"`},
		"a host that sub does not name": {nameless, []string{"token", mintToken(t, "a"), "host", "other.example.com"}, `"active":false`},
		"a sub that names none":         {nameless, []string{"token", wildcard}, `"active":false`},
		"a host with its own profile":   {both, []string{"token", mintToken(t, "a")}, `"active":false`},
		"another profile for it":        {both, []string{"token", mintToken(t, "a"), "profile", "default"}, `"active":true`},
		"a forged token":                {nameless, []string{"token", forged}, `"active":false`},
		"a profile of a host's name":    {named, []string{"token", mintToken(t, "a"), "profile", "meet.example.com"}, `"active":true`},
		"neither, and such a profile":   {named, []string{"token", mintToken(t, "a")}, `"active":true`},
		"another host":                  {named, []string{"token", mintToken(t, "a"), "profile", "meet.example.com", "host", "other.example.com"}, `"active":false`},
	} {
		body, asForm := form(c.fields...)
		r := start(t, c.yaml).as(credential.Verify, "POST", "/oauth/introspect", body, asForm)
		if !strings.Contains(r.raw, c.want) || r.status != 200 {
			t.Errorf("%s: %d %s", name, r.status, r.raw)
		}
	}
}

// Two readers of JSON may find different claims in one text, such as names in another case.
func TestIntrospect_TellsTheClaimsThatWereJudged(t *testing.T) {
	n := start(t, base)
	exp := time.Now().Add(time.Hour)
	raw, err := mint.Token(mint.Spec{Alg: token.HS256, Key: secret, Claims: map[string]any{
		"iss": "my-app", "aud": []string{"other", "jitsi"}, "sub": "meet.example.com", "jti": "a", "exp": exp.UnixMilli(),
		"\u017fub": "victim.example.com", "jTI": "other", "EXP": 1,
	}})
	must(t, err)
	body, asForm := form("token", raw)
	r := n.as(credential.Verify, "POST", "/oauth/introspect", body, asForm)
	if r.body["sub"] != "meet.example.com" || r.body["jti"] != "a" || r.body["exp"] != float64(exp.Unix()) || fmt.Sprint(r.body["aud"]) != "[other jitsi]" {
		t.Errorf("%s", r.raw)
	}
}

func TestExplain_AsksForTheHostWhereNothingElseIsMissing(t *testing.T) {
	n := start(t, strings.Replace(base, "    domain: meet.example.com\n", "", 1))
	explain := func(raw string, more ...string) reply {
		in := map[string]string{"token": raw}
		for i := 0; i < len(more); i += 2 {
			in[more[i]] = more[i+1]
		}
		b, err := json.Marshal(in)
		must(t, err)
		return n.as(credential.Audit, "POST", "/v1/explain", string(b))
	}
	good := mintToken(t, "a")
	if r := explain(good, "profile", "default"); r.status != 400 || !strings.Contains(r.raw, "send that as host") {
		t.Errorf("no host: %+v", r)
	}
	if r := explain(good, "host", "meet.example.com"); r.body["allow"] != true || !strings.Contains(r.raw, `"config":"usher.yaml:`) {
		t.Errorf("a host: %+v", r)
	}
	if r := explain(good[:len(good)-6]+"AAAAAA", "profile", "default"); r.status != 200 || r.body["reason"] != "signature_invalid" {
		t.Errorf("a forged token: %+v", r)
	}
}

func TestExplain_TakesNothingForAGuestThatIsMisspelt(t *testing.T) {
	n := start(t, strings.Replace(base, "    issuers:", "    guests: allow\n    issuers:", 1))
	for body, want := range map[string]int{`{"host":"meet.example.com"}`: 200, `{"jwt":"x.y.z","host":"meet.example.com"}`: 400, `{"host":"meet.example.com"}{"token":"x.y.z"}`: 400} {
		if r := n.as(credential.Audit, "POST", "/v1/explain", body); r.status != want {
			t.Errorf("%s: %+v", body, r)
		}
	}
}

func TestExplain_IsOfAJoinWhereARoomIsNamed(t *testing.T) {
	n := start(t, base)
	body := fmt.Sprintf(`{"token":%q,"host":"meet.example.com","room":"other@conference.meet.example.com"}`, mintToken(t, "a"))
	if r := n.as(credential.Audit, "POST", "/v1/explain", body); r.body["reason"] != "room_mismatch" {
		t.Errorf("%+v", r)
	}
}

// As POST /v1/verify does: what it takes for no question has no verdict.
func TestExplain_AsksForTheRoomOfAJoin(t *testing.T) {
	n := start(t, base)
	for stage, want := range map[string]int{"join": 400, "create": 400, "connect": 200, "recheck": 200, "leave": 400} {
		r := n.as(credential.Audit, "POST", "/v1/explain", fmt.Sprintf(`{"token":%q,"host":"meet.example.com","stage":%q}`, mintToken(t, "a"), stage))
		if r.status != want {
			t.Errorf("%s: %+v", stage, r)
		}
	}
}
