package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/keys"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/sqlitestore"
	"github.com/usher-im/usher/internal/server"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
	"github.com/usher-im/usher/internal/wire"
)

const (
	secret = "a secret that is long enough for HS256"
	base   = `
listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
hosts: [usher.internal]
profiles:
  default:
    domain: meet.example.com
    issuers:
      - iss: my-app
        keys: [{secret: "` + secret + `"}]
        audiences: [jitsi]
`
)

// recorder keeps events for tests to look at. It copies them at once, as the pipeline does: their strings may lie in
// the request's buffer.
type recorder struct {
	mu     sync.Mutex
	events []audit.Event
}

func (r *recorder) Record(e audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := json.Marshal(e)
	var own audit.Event
	if err == nil {
		err = json.Unmarshal(b, &own)
	}
	if err != nil {
		panic(err)
	}
	r.events = append(r.events, own)
}

func (r *recorder) all() []audit.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]audit.Event(nil), r.events...)
}

// node is a server with everything that it stands on, on free ports.
type node struct {
	t       *testing.T
	server  *server.Server
	ledger  *revocation.Ledger
	audit   *recorder
	who     *credential.File
	log     *proc.Log
	rules   *decide.Door
	client  *http.Client
	ready   atomic.Pointer[error]
	lacks   atomic.Pointer[string]
	stop    context.CancelFunc
	stopped chan error
}

func start(t *testing.T, yaml string, more ...server.Route) *node {
	t.Helper()
	return startWith(t, yaml, server.Options{Verify: more})
}

// startWith starts a node with options of the test's own; what a node stands on is not among them.
func startWith(t *testing.T, yaml string, opt server.Options) *node {
	t.Helper()
	cfg, _, err := config.Parse("usher.yaml", []byte(yaml), nil)
	must(t, err)
	dir := t.TempDir()
	store, err := sqlitestore.Open(t.Context(), dir+"/revocations.db", sqlitestore.Options{})
	must(t, err)
	n := &node{t: t, audit: &recorder{}, log: &proc.Log{}, ledger: revocation.Open(store, revocation.Options{}), client: &http.Client{Transport: &http.Transport{}}, stopped: make(chan error, 1)}
	<-n.ledger.Loaded()
	n.who, err = credential.Open(dir)
	must(t, err)
	var rings []*keys.Ring
	door, err := decide.New(cfg, decide.Options{
		Revocations: n.ledger, Encode: wire.EncodeProven,
		OpenKeys: func(i *config.Issuer) (decide.Keys, error) {
			ring, err := keys.Open(t.Context(), i.Keys, keys.Options{})
			rings = append(rings, ring)
			return ring, err
		},
	})
	must(t, err)
	n.rules = door
	desk := &server.Desk{Ledger: n.ledger, Audit: n.audit, Config: func() *config.Config { return cfg }, Door: func() *decide.Door { return door },
		KeyNames: func(_, id string) ([]string, bool) { return rings[0].Names(id) }}
	opt.Config, opt.Door, opt.Audit, opt.Feed, opt.Credentials, opt.Registry = cfg, door, n.audit, n.ledger.Feed(), n.who, prometheus.NewRegistry()
	opt.Logger = slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	opt.Admin = desk.Routes()
	opt.Ready = func() (string, error) {
		if err := n.ready.Load(); err != nil {
			return "", *err
		}
		if lacks := n.lacks.Load(); lacks != nil {
			return *lacks, nil
		}
		return "", nil
	}
	n.server, err = server.New(opt)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	go func() { n.stopped <- n.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		n.client.CloseIdleConnections()
		if err := <-n.stopped; err != nil {
			t.Errorf("the server stopped with %v", err)
		}
		must(t, n.ledger.Close())
		for _, ring := range rings {
			ring.Close()
		}
	})
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps the date for its headers in a goroutine of the process, and its worker pools end a while after
		// their server.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// reply is what a request came back with.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

type edit func(*http.Request)

func header(name, value string) edit {
	return func(r *http.Request) {
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
}

func (n *node) do(method, address, path, body string, edits ...edit) reply {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), method, "http://"+address+path, strings.NewReader(body))
	must(n.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, e := range edits {
		e(req)
	}
	resp, err := n.client.Do(req)
	must(n.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(n.t, err)
	r := reply{status: resp.StatusCode, header: resp.Header, raw: string(b)}
	_ = json.Unmarshal(b, &r.body)
	holdToDocument(n.t, req, r)
	return r
}

func (n *node) verify(body string, edits ...edit) reply {
	n.t.Helper()
	return n.do("POST", n.server.VerifyAddress(), "/v1/verify", body, edits...)
}

func mintToken(t *testing.T, jti string, user ...map[string]any) string {
	t.Helper()
	if user == nil {
		user = []map[string]any{{"id": "u1"}}
	}
	raw, err := mint.Token(mint.Spec{Alg: token.HS256, Key: secret, Claims: map[string]any{
		"iss": "my-app", "aud": "jitsi", "sub": "meet.example.com", "room": "daily", "jti": jti, "exp": time.Now().Add(time.Hour).Unix(),
		"context": map[string]any{"user": user[0]},
	}})
	must(t, err)
	return raw
}

func question(t *testing.T, members map[string]any) string {
	t.Helper()
	q := map[string]any{"id": "1", "stage": "connect", "host": "meet.example.com", "session": "s1"}
	for name, value := range members {
		q[name] = value
	}
	b, err := json.Marshal(q)
	must(t, err)
	return string(b)
}

func TestVerify_AnswersWithLengthAndVerdict(t *testing.T) {
	n := start(t, base)
	r := n.verify(question(t, map[string]any{"token": mintToken(t, "a")}))
	if r.status != 200 || r.body["allow"] != true || r.header.Get("Content-Length") == "" || r.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%+v", r)
	}
	grant := r.body["grant"]
	r = n.verify(question(t, map[string]any{"id": "2", "grant": grant, "stage": "join", "room": "daily@conference.meet.example.com"}))
	if r.status != 200 || r.body["allow"] != true || r.body["claims"] != nil {
		t.Fatalf("%+v", r)
	}
	r = n.verify(question(t, map[string]any{"id": "3", "grant": strings.Repeat("A", 43), "stage": "join", "room": "daily@conference.meet.example.com"}))
	if r.status != 200 || r.raw != `{"need":"token"}` {
		t.Fatalf("%+v", r)
	}
	if events := n.audit.all(); len(events) != 2 {
		t.Fatalf("%d events: a need for the token is no decision", len(events))
	}
}

func TestVerify_AnAllowComesInLinesWhereTheyAreAcceptedAndCanSayIt(t *testing.T) {
	n := start(t, base)
	lines := header("Accept", "application/vnd.usher.lines")
	r := n.verify(question(t, map[string]any{"token": mintToken(t, "a")}), lines)
	if r.status != 200 || r.header.Get("Content-Type") != "application/vnd.usher.lines" || !strings.HasPrefix(r.raw, "{7\nallow\nt\n") {
		t.Fatalf("%+v", r)
	}
	inJSON := n.verify(question(t, map[string]any{"id": "2", "token": mintToken(t, "a")}), header("Accept", "*/*"))
	if inJSON.header.Get("Content-Type") != "application/json" || inJSON.body["allow"] != true {
		t.Fatalf("%+v", inJSON)
	}
	grant, ok := inJSON.body["grant"].(string)
	if !ok || !strings.Contains(r.raw, "\ngrant\n\""+grant+"\n") {
		t.Errorf("grant %q, and in lines %q", grant, r.raw)
	}
	join := question(t, map[string]any{"id": "3", "grant": grant, "stage": "join", "room": "daily@conference.meet.example.com"})
	if r := n.verify(join, lines); r.raw != "{2\nallow\nt\naffiliation\n\"member\n" {
		t.Errorf("a join is answered with %q", r.raw)
	}
	for what, members := range map[string]map[string]any{
		"a deny":       {"id": "4", "token": mintToken(t, "a") + "A"},
		"a need":       {"id": "5", "grant": strings.Repeat("A", 43), "stage": "join", "room": "daily@conference.meet.example.com"},
		"a line break": {"id": "6", "token": mintToken(t, "a", map[string]any{"name": "two\nlines"})},
	} {
		if r := n.verify(question(t, members), lines); r.status != 200 || r.header.Get("Content-Type") != "application/json" || r.body == nil {
			t.Errorf("%s: %+v", what, r)
		}
	}
	if events := n.audit.all(); len(events) != 5 {
		t.Errorf("%d events, want one for each but the need", len(events))
	}
}

func TestVerify_EventTellsAllButTheToken(t *testing.T) {
	n := start(t, base)
	raw := mintToken(t, "j1")
	r := n.verify(question(t, map[string]any{
		"token": raw, "remote_ip": "198.51.100.7", "user_agent": "Jitsi", "tenant": "acme", "room": "daily@conference.meet.example.com",
	}))
	forged := raw[:len(raw)-8] + "AAAAAAAA"
	n.verify(question(t, map[string]any{"id": "2", "token": forged}))
	events := n.audit.all()
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	allowed, denied := events[0], events[1]
	signed := raw[:strings.LastIndexByte(raw, '.')]
	want := audit.Event{
		Time: allowed.Time, ID: fmt.Sprint(r.body["decision_id"]), Kind: audit.Decision, Proven: true, Verdict: audit.Allow,
		Host: "meet.example.com", Profile: "default", Session: "s1", Stage: "connect", LatencyUS: allowed.LatencyUS,
		Issuer: "my-app", Subject: "meet.example.com", UserID: "u1", JTI: "j1", Kid: "default", Alg: "HS256", Fingerprint: token.Fingerprint([]byte(signed)),
		Room: "daily@conference.meet.example.com", Tenant: "acme", RemoteIP: "198.51.100.7", UserAgent: "Jitsi",
	}
	if allowed != want || allowed.Time.IsZero() {
		t.Errorf("got  %+v\nwant %+v", allowed, want)
	}
	if denied.Proven || denied.Reason != "signature_invalid" || denied.Issuer != "my-app" || denied.Fingerprint != allowed.Fingerprint {
		t.Errorf("%+v", denied)
	}
	b, err := json.Marshal(events)
	must(t, err)
	for _, part := range strings.Split(raw, ".") {
		if bytes.Contains(b, []byte(part)) {
			t.Errorf("a part of the token is in the events")
		}
	}
}

func TestVerify_UsersAreReadWhereTheProfileSaysProvenOrNot(t *testing.T) {
	for claim, want := range map[string]string{"context.user.id": "u1", "sub": "meet.example.com", "context.user.nobody": ""} {
		n := start(t, base+"    revocation: {user_claim: "+claim+"}\n")
		raw := mintToken(t, "j1")
		n.verify(question(t, map[string]any{"token": raw}))
		n.verify(question(t, map[string]any{"id": "2", "token": raw[:len(raw)-8] + "AAAAAAAA"}))
		events := n.audit.all()
		if len(events) != 2 || !events[0].Proven || events[1].Proven {
			t.Fatalf("%+v", events)
		}
		for _, e := range events {
			if e.UserID != want {
				t.Errorf("by %s the user is %q (proven %v), want %q", claim, e.UserID, e.Proven, want)
			}
		}
	}
}

func TestVerify_MalformedQuestionsAreOurBug(t *testing.T) {
	n := start(t, base)
	if r := n.verify(`{"id":`); r.status != 400 || r.body["type"] != "urn:usher:problem:bad-question" || r.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%+v", r)
	}
	if r := n.verify("{}", header("Content-Type", "text/plain")); r.status != 415 {
		t.Errorf("%+v", r)
	}
	if r := n.verify(strings.Repeat(" ", 65<<10)); r.status != 413 {
		t.Errorf("%+v", r)
	}
	if r := n.verify(question(t, nil), header("Content-Type", "Application/JSON ; charset=utf-8")); r.status != 200 {
		t.Errorf("%+v", r)
	}
	if r := n.do("POST", n.server.VerifyAddress(), "/v1/report", strings.Repeat(" ", 5<<10)); r.status != 413 {
		t.Errorf("a body longer than its path takes: %+v", r)
	}
	if r := n.do("GET", n.server.VerifyAddress(), "/v1/verify", ""); r.status != 405 {
		t.Errorf("%+v", r)
	}
}

func TestVerify_ARepeatIsOneDecisionJudgedAfresh(t *testing.T) {
	n := start(t, base)
	body := question(t, map[string]any{"token": mintToken(t, "leaked")})
	first, second := n.verify(body), n.verify(body)
	if second.status != 200 || first.body["decision_id"] != second.body["decision_id"] {
		t.Fatalf("%+v\n%+v", first, second)
	}
	if len(n.audit.all()) != 1 {
		t.Fatal("a repeat was counted twice")
	}
	rs, err := revocation.Prepare(revocation.Revocation{Selector: revocation.SelectJTI, Issuer: "my-app", Value: "leaked"}, time.Now())
	must(t, err)
	_, err = n.ledger.Revoke(t.Context(), []revocation.Revocation{rs})
	must(t, err)
	if third := n.verify(body); third.body["allow"] != false || third.body["reason"] != "token_revoked" || third.body["decision_id"] != first.body["decision_id"] {
		t.Fatalf("not judged afresh: %+v", third)
	}
	if r := n.verify(strings.Replace(body, `"s1"`, `"s2"`, 1)); r.status != 400 || r.body["type"] != "urn:usher:problem:id-reused" {
		t.Fatalf("another body under the same id: %+v", r)
	}
}

// A few hundred bytes may be a gigabyte compressed.
func TestBody_IsTakenAsItIsAndNeverUncompressed(t *testing.T) {
	n := start(t, base)
	for path, plain := range map[string]string{
		"/v1/explain":     `{"token":"x.y.z","host":"meet.example.com"}`,
		"/v1/revocations": `{"selector":"room","value":"daily","dry_run":true}`,
	} {
		if r := n.as(credential.Admin, "POST", path, plain); r.status != 200 {
			t.Errorf("%s, plain: %+v", path, r)
		}
		var small bytes.Buffer
		w := gzip.NewWriter(&small)
		_, err := w.Write([]byte(plain))
		must(t, errors.Join(err, w.Close()))
		if r := n.as(credential.Admin, "POST", path, small.String(), header("Content-Encoding", "gzip")); r.status != 400 {
			t.Errorf("%s, compressed: %+v", path, r)
		}
	}
}

func TestGate_ForeignHostsAndBrowsersAreRefused(t *testing.T) {
	n := start(t, base)
	body := question(t, nil)
	for name, e := range map[string]edit{
		"rebound name":   header("Host", "evil.example.com"),
		"name with port": header("Host", "evil.example.com:9160"),
		"no name":        func(r *http.Request) { r.Host = "." },
		"origin":         header("Origin", "https://meet.example.com"),
		"fetch metadata": header("Sec-Fetch-Site", "cross-site"),
	} {
		if r := n.verify(body, e); r.status != 403 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for _, host := range []string{"localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:9160", "usher.internal"} {
		if r := n.verify(body, header("Host", host)); r.status != 200 && r.status != 400 {
			t.Errorf("%s is refused: %+v", host, r)
		}
	}
	if r := n.do("GET", n.server.AdminAddress(), "/healthz", "", header("Host", "evil.example.com")); r.status != 403 {
		t.Errorf("admin listener: %+v", r)
	}
}

func TestGate_AListenerAnswersToItsOwnAddress(t *testing.T) {
	n := start(t, strings.Replace(base, "listen: 127.0.0.1:0", "listen: 127.0.0.2:0", 1))
	if r := n.verify(question(t, nil)); r.status != 200 {
		t.Errorf("%+v", r)
	}
}

func TestGuard_CredentialsAndRoles(t *testing.T) {
	n := start(t, base)
	auditor, err := n.who.Create("auditor", credential.Audit, time.Now())
	must(t, err)
	asker, err := n.who.Create("asker", credential.Verify, time.Now())
	must(t, err)
	get := func(edits ...edit) reply { return n.do("GET", n.server.AdminAddress(), "/metrics", "", edits...) }
	if r := get(); r.status != 401 || r.header.Get("WWW-Authenticate") == "" {
		t.Errorf("no credential: %+v", r)
	}
	before := time.Now()
	if r := get(header("Authorization", "Bearer usher_"+strings.Repeat("A", 43))); r.status != 401 || time.Since(before) < 200*time.Millisecond {
		t.Errorf("a wrong credential was not slowed: %+v", r)
	}
	if r := get(header("Authorization", "Bearer "+asker)); r.status != 403 {
		t.Errorf("another role: %+v", r)
	}
	if r := get(header("Authorization", "Bearer "+auditor)); r.status != 200 || !strings.Contains(r.raw, "usher_feed_followers") {
		t.Errorf("the right role: %+v", r)
	}
	if r := get(header("Authorization", "bearer  "+auditor)); r.status != 200 {
		t.Errorf("its scheme in small letters: %+v", r)
	}
	if r := get(header("Authorization", "Basic "+auditor)); r.status != 401 {
		t.Errorf("another scheme: %+v", r)
	}
	events := n.audit.all()
	if len(events) != 2 || events[0].Kind != audit.Admin || events[0].ID == "" || events[0].Time.IsZero() || events[1].Actor != "cred:asker" {
		t.Errorf("refused callers are audited: %+v", events)
	}
}

func TestGuard_WhatIsReadOnTheAdminListenerIsForThoseWhoMayReadAll(t *testing.T) {
	n := start(t, base)
	for path, method := range map[string]string{"/v1/explain": "POST", "/v1/openapi.json": "GET", "/": "GET", "/metrics": "GET"} {
		if r := n.do(method, n.server.AdminAddress(), path, ""); r.status != 401 {
			t.Errorf("%s without a credential: %d", path, r.status)
		}
		for role, may := range map[credential.Role]bool{credential.Verify: false, credential.Revoke: false, credential.Audit: true, credential.Admin: true} {
			if r := n.as(role, method, path, ""); (r.status != 403) != may {
				t.Errorf("%s as %s: %d", path, role, r.status)
			}
		}
	}
}

func TestGuard_WhoHasWaitedForAWrongCredentialMakesRoomForTheNext(t *testing.T) {
	n := start(t, base)
	guess := func() int {
		return n.do("GET", n.server.AdminAddress(), "/metrics", "", header("Authorization", "Bearer usher_guess")).status
	}
	var guessing sync.WaitGroup
	for range 16 { // as many as may wait at once
		guessing.Go(func() {
			if status := guess(); status != 401 {
				t.Errorf("got %d", status)
			}
		})
	}
	guessing.Wait()
	if status := guess(); status != 401 {
		t.Errorf("the next one gets %d", status)
	}
}

func TestGuard_VerifyListenerMayWantACredential(t *testing.T) {
	n := start(t, base+"verify: {credential_required: true}\n")
	shim, err := n.who.Create("prosody-1", credential.Verify, time.Now())
	must(t, err)
	if r := n.verify(question(t, nil)); r.status != 401 {
		t.Errorf("%+v", r)
	}
	if r := n.verify(question(t, nil), header("Authorization", "Bearer "+shim)); r.status != 200 {
		t.Errorf("%+v", r)
	}
	if r := n.do("GET", n.server.VerifyAddress(), "/healthz", ""); r.status != 200 {
		t.Errorf("health wants no credential: %+v", r)
	}
}

// The rules in deploy/grafana look at increases, and a series that begins with its first one has none.
func TestMetrics_WhatAlertsWatchForIsThereFromTheStart(t *testing.T) {
	r := start(t, base).as(credential.Audit, "GET", "/metrics", "")
	want := []string{`usher_decisions_total{issuer="my-app",reason="token_replayed",stage="connect",verdict="deny"} 0`}
	for _, outcome := range []string{"ejected", "gone", "failed"} {
		want = append(want, `usher_ejections_total{outcome="`+outcome+`"} 0`)
	}
	for _, stage := range []string{"connect", "create", "join", "recheck"} {
		want = append(want, `usher_decisions_total{issuer="my-app",reason="token_revoked",stage="`+stage+`",verdict="deny"} 0`)
	}
	for _, line := range want {
		if !strings.Contains(r.raw, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
}

func TestMetrics_CountVerdictsAndNoForgersAgainstAnIssuer(t *testing.T) {
	n := start(t, base)
	raw := mintToken(t, "a")
	n.verify(question(t, map[string]any{"token": raw}))
	n.verify(question(t, map[string]any{"id": "2", "token": raw[:len(raw)-8] + "AAAAAAAA"}))
	r := n.as(credential.Audit, "GET", "/metrics", "")
	for _, line := range []string{
		`usher_decisions_total{issuer="my-app",reason="",stage="connect",verdict="allow"} 1`,
		`usher_decisions_total{issuer="",reason="signature_invalid",stage="connect",verdict="deny"} 1`,
		`usher_decision_duration_seconds_count{stage="connect"} 2`,
		`usher_bad_tokens_total{issuer="my-app"} 1`,
	} {
		if !strings.Contains(r.raw, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
}

func TestReadyz_SaysWhatIsWaitedForAndWhatIsLacking(t *testing.T) {
	n := start(t, base)
	if r := n.do("GET", n.server.VerifyAddress(), "/readyz", ""); r.status != 200 || r.body["detail"] != nil {
		t.Errorf("%+v", r)
	}
	lacks := "no word from the store"
	n.lacks.Store(&lacks)
	if r := n.do("GET", n.server.VerifyAddress(), "/readyz", ""); r.status != 200 || r.body["detail"] != lacks {
		t.Errorf("%+v", r)
	}
	err := errors.New("the revocation list is not loaded yet")
	n.ready.Store(&err)
	if r := n.do("GET", n.server.VerifyAddress(), "/readyz", ""); r.status != 503 || r.body["detail"] != err.Error() {
		t.Errorf("%+v", r)
	}
}

func TestReport_IsAnAuditEvent(t *testing.T) {
	n := start(t, base)
	post := func(body string) reply { return n.do("POST", n.server.VerifyAddress(), "/v1/report", body) }
	if r := post(`{"decision_id":"D","session":"s1","outcome":"ejected"}`); r.status != 204 {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{
		`{}`, `{"decision_id":"D","session":"s1","outcome":"killed"}`, `[]`,
		`{"session":"s1","outcome":"gone"}`, `{"decision_id":"D","outcome":"gone"}`,
	} {
		if r := post(bad); r.status != 400 {
			t.Errorf("%s: %+v", bad, r)
		}
	}
	if e := n.audit.all(); len(e) != 1 || e[0].Kind != audit.Ejection || e[0].DecisionID != "D" || e[0].Outcome != "ejected" || e[0].ID == "" || e[0].Time.IsZero() {
		t.Errorf("%+v", e)
	}
}

func TestRun_RequestsInFlightAreAnswered(t *testing.T) {
	entered, goOn := make(chan struct{}), make(chan struct{})
	n := start(t, base, server.Route{Method: fiber.MethodGet, Path: "/slow", Open: true, Handler: func(c *fiber.Ctx) error {
		close(entered)
		<-goOn
		return c.SendString("done")
	}})
	answered := make(chan reply, 1)
	go func() { answered <- n.do("GET", n.server.VerifyAddress(), "/slow", "") }()
	<-entered
	n.stop()
	close(goOn)
	if r := <-answered; r.status != 200 || r.raw != "done" {
		t.Fatalf("%+v", r)
	}
}

func TestVerify_AnAddressThatFloodsIsToldToWaitAndOthersAreNot(t *testing.T) {
	n := start(t, base+"limits: {bad_tokens_per_address: 3}\n")
	ask := func(id, ip, token string) reply {
		return n.verify(question(t, map[string]any{"id": id, "token": token, "remote_ip": ip}))
	}
	for n := range 3 {
		if r := ask(strings.Repeat("a", n+1), "198.51.100.7", "x.y.z"); r.status != 200 {
			t.Fatalf("%+v", r)
		}
	}
	r := ask("b", "198.51.100.7", mintToken(t, "a"))
	if r.status != 503 || r.header.Get("Retry-After") == "" || r.body["reason"] != "rate_limited" || r.body["decision_id"] == nil {
		t.Fatalf("%+v", r)
	}
	if r := ask("c", "198.51.100.8", mintToken(t, "a")); r.body["allow"] != true {
		t.Fatalf("another address is harmed: %+v", r)
	}
	for range 4 { // a profile that nobody wrote is the operator's mistake
		n.verify(question(t, map[string]any{"id": rand.Text(), "token": "x.y.z", "remote_ip": "198.51.100.8", "profile": "none"}))
	}
	if r := ask("d", "198.51.100.8", mintToken(t, "a")); r.body["allow"] != true {
		t.Fatalf("an address pays for a profile that is not there: %+v", r)
	}
	if e := n.audit.all(); len(e) != 10 || e[3].Verdict != audit.Unavailable || e[3].Issuer != "" {
		t.Fatalf("%+v", e)
	}
}

func TestRun_AHandlerThatBreaksTakesTheDoorFromNobody(t *testing.T) {
	n := start(t, base, server.Route{Method: fiber.MethodGet, Path: "/broken", Open: true, Handler: func(*fiber.Ctx) error {
		panic("a secret that a panic quotes")
	}})
	if r := n.do("GET", n.server.VerifyAddress(), "/broken", ""); r.status != 500 || strings.Contains(r.raw, "secret") || strings.Contains(r.raw, "goroutine") {
		t.Fatalf("%+v", r)
	}
	if r := n.verify(question(t, map[string]any{"token": mintToken(t, "a")})); r.body["allow"] != true {
		t.Fatalf("%+v", r)
	}
}
