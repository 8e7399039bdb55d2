package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/sqlitestore"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/server"
)

// library is a node whose archive answers, with nothing else in it.
type library struct {
	*node
	pipeline *audit.Pipeline
	reader   *audit.Reader
	archive  *server.Archive
	secret   string
	folders  []string // of the store and the spill
}

func openLibrary(t *testing.T, role credential.Role) *library {
	t.Helper()
	cfg, _, err := config.Parse("usher.yaml", []byte(base), nil)
	must(t, err)
	folders := []string{t.TempDir(), t.TempDir()}
	store, err := sqlitestore.Open(t.Context(), folders[0], sqlitestore.Options{})
	must(t, err)
	pipeline, err := audit.Open(t.Context(), store, audit.Options{Dir: folders[1], SpillMax: 1 << 20, Node: "n1"})
	must(t, err)
	n := &node{t: t, client: &http.Client{Transport: &http.Transport{}}, stopped: make(chan error, 1)}
	n.who, err = credential.Open(t.TempDir())
	must(t, err)
	l := &library{node: n, pipeline: pipeline, reader: audit.NewReader(store, nil), folders: folders}
	l.secret, err = n.who.Create("reader", role, time.Now())
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	l.archive = &server.Archive{Reader: l.reader, Journal: pipeline, Logger: slog.New(slog.DiscardHandler), Stopping: ctx}
	n.server, err = server.New(server.Options{
		Config: cfg, Audit: pipeline, Credentials: n.who, Registry: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Admin: l.archive.Routes(),
	})
	must(t, err)
	go func() { n.stopped <- n.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		n.client.CloseIdleConnections()
		if err := <-n.stopped; err != nil {
			t.Errorf("the server stopped with %v", err)
		}
		must(t, pipeline.Close(context.Background()))
		must(t, store.Close())
	})
	return l
}

// keep records events and waits until they can be found.
func (l *library) keep(events ...audit.Event) []audit.Event {
	l.t.Helper()
	for i := range events {
		e := &events[i]
		if e.Time.IsZero() {
			e.Time = time.Now().Add(time.Duration(i-len(events)) * time.Minute)
		}
		e.ID = audit.NewID(e.Time)
		l.pipeline.Record(*e)
	}
	must(l.t, l.pipeline.Flush(l.t.Context()))
	return events
}

func (l *library) get(path string) reply {
	l.t.Helper()
	return l.do("GET", l.server.AdminAddress(), path, "", header("Authorization", "Bearer "+l.secret))
}

// ids are those of a page.
func (r reply) ids(t *testing.T) []string {
	t.Helper()
	if r.status != 200 {
		t.Fatalf("status %d: %s", r.status, r.raw)
	}
	var page struct{ Items []audit.Event }
	must(t, json.Unmarshal([]byte(r.raw), &page))
	all := []string{}
	for _, e := range page.Items {
		all = append(all, e.ID)
	}
	return all
}

func denied(room, user string) audit.Event {
	return audit.Event{
		Kind: audit.Decision, Verdict: audit.Deny, Reason: reason.RoomMismatch, Proven: true, Stage: "join", Issuer: "my-app", Room: room, UserID: user,
		RemoteIP: "198.51.100.7", Host: "meet.example.com", Profile: "default", Tenant: "acme", JTI: "j-" + user, Kid: "k1", Fingerprint: audit.Fingerprint{1, 2, user[0]},
	}
}

func TestDecisions_EveryFilterIsAParameter(t *testing.T) {
	l := openLibrary(t, credential.Audit)
	wanted := denied("daily@conference.meet.example.com", "ada")
	e := l.keep(
		audit.Event{Kind: audit.Decision, Verdict: audit.Allow, Stage: "connect", Issuer: "other", UserID: "bob", Host: "other.example.com"},
		wanted,
		audit.Event{Kind: audit.Decision, Verdict: audit.Unavailable, Reason: reason.KeyUnavailable, Stage: "connect"},
	)
	for _, filter := range []string{
		"verdict=deny", "reason=room_mismatch", "room=daily", "room=daily%40conference.meet.example.com", "tenant=acme", "user=ada", "issuer=my-app",
		"jti=j-ada", "kid=k1", "fingerprint=" + wanted.Fingerprint.String(), "ip=198.51.100.7", "host=meet.example.com", "profile=default",
		"stage=join", "proven=true", "user=ada&since=2h&until=" + url.QueryEscape(time.Now().Format(time.RFC3339)), "since=2020-01-01&verdict=deny",
	} {
		if got := l.get("/v1/decisions?" + filter).ids(t); len(got) != 1 || got[0] != e[1].ID {
			t.Errorf("%s finds %v", filter, got)
		}
	}
	if got := l.get("/v1/decisions?until=2h&limit=5").ids(t); len(got) != 0 {
		t.Errorf("nothing is that old: %v", got)
	}
}

func TestDecisions_PagesGoNewestFirstByCursor(t *testing.T) {
	l := openLibrary(t, credential.Audit)
	events := l.keep(denied("a@c.example.com", "u1"), denied("b@c.example.com", "u2"), denied("c@c.example.com", "u3"))
	first := l.get("/v1/decisions?limit=2")
	if got := first.ids(t); len(got) != 2 || got[0] != events[2].ID || got[1] != events[1].ID {
		t.Fatalf("%v", got)
	}
	next, _ := first.body["next"].(string)
	second := l.get("/v1/decisions?limit=2&cursor=" + url.QueryEscape(next))
	if got := second.ids(t); len(got) != 1 || got[0] != events[0].ID || second.body["next"] != nil {
		t.Fatalf("%v, next %v", got, second.body["next"])
	}
}

func TestDecisions_HoldDecisionsAloneAndEventsEverything(t *testing.T) {
	l := openLibrary(t, credential.Audit)
	e := l.keep(denied("a@c.example.com", "u1"), audit.Event{Kind: audit.Revocation, Actor: "cred:soc", RevocationID: "r1"})
	if got := l.get("/v1/decisions").ids(t); len(got) != 1 || got[0] != e[0].ID {
		t.Errorf("decisions: %v", got)
	}
	if got := l.get("/v1/events").ids(t); len(got) != 2 {
		t.Errorf("events: %v", got)
	}
	if got := l.get("/v1/events?kind=all").ids(t); len(got) != len(l.get("/v1/events").ids(t)) {
		t.Errorf("all kinds by name: %v", got)
	}
	if got := l.get("/v1/events?kind=revocation").ids(t); len(got) != 1 || got[0] != e[1].ID {
		t.Errorf("revocations: %v", got)
	}
	if r := l.get("/v1/decisions/" + e[0].ID); r.status != 200 || r.body["reason"] != "room_mismatch" {
		t.Errorf("%+v", r)
	}
	if r := l.get("/v1/decisions/" + e[1].ID); r.status != 404 || !strings.Contains(r.raw, "/v1/events/") {
		t.Errorf("%+v", r)
	}
	if r := l.get("/v1/events/" + strings.ToLower(e[1].ID)); r.status != 200 || r.body["actor"] != "cred:soc" {
		t.Errorf("%+v", r)
	}
	// What a client shows is pasted as it stands.
	for _, shown := range []string{"(" + e[0].ID + ")", " " + e[0].ID + "\n", "This token is not for this room. (" + e[0].ID + ")", strings.ToLower(e[0].ID) + "."} {
		if r := l.get("/v1/decisions/" + url.PathEscape(shown)); r.status != 200 || r.body["id"] != e[0].ID {
			t.Errorf("%q: %+v", shown, r)
		}
	}
	if r := l.get("/v1/decisions/01ARZ3NDEKTSV4RRFFQ69G5FAV"); r.status != 404 {
		t.Errorf("%+v", r)
	}
}

func TestDecisions_ABadParameterIsNamedWithWhatIsAllowed(t *testing.T) {
	l := openLibrary(t, credential.Audit)
	for query, says := range map[string]string{
		"decisions?verdict=no":               "verdict: there is no verdict \\\"no\\\": it is one of allow, deny, unavailable",
		"decisions?reason=because":           "one of profile_unknown, token_missing",
		"decisions?stage=leave":              "one of connect, create, join, recheck",
		"decisions?since=soon":               "since: \\\"soon\\\" is not a time",
		"decisions?since=1h&until=2h":        "since: it must lie before until",
		"decisions?fingerprint=abc":          "fingerprint: a fingerprint is 32 hex digits",
		"decisions?proven=maybe":             "one of true, false",
		"decisions?limit=0":                  "limit: a page has 1 to 1000 events",
		"decisions?room=%5Bacme%5D":          "names a whole tenant",
		"decisions?limit=1001":               "limit: a page has 1 to 1000 events",
		"decisions?cursor=!":                 "cursor: this cursor is not one that a page gave",
		"decisions?rom=daily":                "rom: there is no such parameter for decisions: they are since, until",
		"decisions?token=x.y.z":              "send its fingerprint",
		"decisions?user=a&user=b":            "user: it stands twice",
		"decisions?kind=admin":               "kind: there is no such parameter",
		"events?kind=party":                  "one of decision, revocation, lift, ejection, admin, all",
		"decisions/stats?by=moon":            "one of reason, room, issuer, user, ip",
		"decisions/stats?every=1ms":          "every: counts go by whole seconds",
		"decisions/stats?every=-1d":          "every: counts go by whole seconds: write a span such as 5m, 24h or 7d, not \\\"-1d",
		"decisions/stats?every=1s&since=30d": "every: from ",
		"decisions/stats?limit=3":            "limit: there is no such parameter for counts",
		"decisions/stream?since=2h":          "since: there is no such parameter for the stream",
		"decisions?a%0A=x":                   "a\\\\n: there is no such parameter",
	} {
		r := l.get("/v1/" + query)
		if r.status != 400 || r.body["type"] != "urn:usher:problem:bad-parameter" || !strings.Contains(r.raw, says) {
			t.Errorf("%s: %d %s", query, r.status, r.raw)
		}
	}
}

// late is a journal that has an event on its way until somebody waits for it.
type late struct {
	*audit.Pipeline
	event audit.Event
}

func (l *late) Flush(context.Context) error {
	l.Record(l.event)
	return l.Pipeline.Flush(context.Background())
}

func TestDecisions_AreFoundByWhoAsksRightAfterThem(t *testing.T) {
	l := openLibrary(t, credential.Audit)
	for user, path := range map[string]string{"by list": "/v1/decisions?limit=1", "by count": "/v1/decisions/stats?by=user", "by id": "/v1/decisions/"} {
		journal := &late{l.pipeline, denied("daily@c.example.com", user)}
		journal.event.ID = audit.NewID(time.Now())
		archive := &server.Archive{Reader: l.reader, Journal: journal, Logger: slog.New(slog.DiscardHandler)}
		if user == "by id" {
			path += journal.event.ID
		}
		if answer := asked(t, archive, path); answer.status != 200 || !strings.Contains(answer.raw, user) {
			t.Errorf("%s: %+v", user, answer)
		}
	}
}

// asked is what an archive answers to whoever reaches it.
func asked(t *testing.T, archive *server.Archive, path string) reply {
	t.Helper()
	app := fiber.New()
	for _, r := range archive.Routes() {
		app.Add(r.Method, r.Path, r.Handler)
	}
	resp, err := app.Test(httptest.NewRequest(http.MethodGet, path, nil), -1)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return reply{status: resp.StatusCode, raw: string(body)}
}

func TestStats_TooManySpansAreTheQuestionsFaultAlsoWhereBothEndsLieWithinOne(t *testing.T) {
	l := openLibrary(t, credential.Audit)
	// 20,000 seconds less a millisecond, which lie in 20,001.
	r := l.get("/v1/decisions/stats?every=1s&since=2026-01-01T00:00:00.500Z&until=2026-01-01T05:33:20.499Z")
	if r.status != 400 || !strings.Contains(r.raw, "more than 20000 spans of 1s") {
		t.Errorf("%d %s", r.status, r.raw)
	}
	if r := l.get("/v1/decisions/stats?every=1s&since=2026-01-01T00:00:00Z&until=2026-01-01T05:33:20Z"); r.status != 200 {
		t.Errorf("%d %s", r.status, r.raw)
	}
}

func TestStats_CountOverTimeWithAllowsUnderTheirOwnKey(t *testing.T) {
	l := openLibrary(t, credential.Audit)
	at := time.Now().Add(-10 * time.Minute).Truncate(5 * time.Minute).Add(time.Second)
	a, b := denied("a@c.example.com", "u1"), denied("b@c.example.com", "u2")
	a.Time, b.Time = at, at.Add(time.Second)
	l.keep(a, b, audit.Event{Time: at, Kind: audit.Decision, Verdict: audit.Allow, Proven: true, UserID: "u1"})
	r := l.get("/v1/decisions/stats?by=reason&every=5m")
	span := at.Truncate(5 * time.Minute).UTC().Format(time.RFC3339)
	want := `{"items":[{"time":"` + span + `","key":"allowed","count":1},{"time":"` + span + `","key":"room_mismatch","count":2}]}`
	if r.raw != want {
		t.Errorf("%s, want %s", r.raw, want)
	}
	if r := l.get("/v1/decisions/stats?by=user&user=u2&every=1d"); !strings.Contains(r.raw, `"key":"u2","count":1`) || strings.Contains(r.raw, "u1") {
		t.Errorf("%s", r.raw)
	}
	if r := l.get("/v1/decisions/stats?since=2020-01-01&until=2020-01-02"); r.raw != `{"items":[]}` {
		t.Errorf("%s", r.raw)
	}
}

// crowded is a store that has more than can be counted.
type crowded struct{ audit.Store }

func (crowded) Stats(context.Context, audit.StatsQuery) ([]audit.Count, error) {
	return nil, audit.ErrUncountable
}

func TestStats_SayWhatToDoWhereThereIsTooMuchToCount(t *testing.T) {
	archive := &server.Archive{Reader: audit.NewReader(crowded{}, nil), Journal: openLibrary(t, credential.Audit).pipeline, Logger: slog.New(slog.DiscardHandler)}
	if answer := asked(t, archive, "/v1/decisions/stats?by=user"); answer.status != 400 || !strings.Contains(answer.raw, "ask for a shorter time") {
		t.Errorf("%+v", answer)
	}
}

// stream follows the decisions; its lines end with it.
func (l *library) stream(query string) <-chan string {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), "GET", "http://"+l.server.AdminAddress()+"/v1/decisions/stream"+query, nil)
	must(l.t, err)
	req.Header.Set("Authorization", "Bearer "+l.secret)
	resp, err := l.client.Do(req)
	must(l.t, err)
	l.t.Cleanup(func() { resp.Body.Close() })
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		l.t.Fatalf("%+v", resp.Header)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			lines <- s.Text()
		}
	}()
	if first := <-lines; first != ": following" {
		l.t.Fatalf("%q", first)
	}
	return lines
}

func TestStream_EndsWithTheCredentialOfItsCaller(t *testing.T) {
	l := openLibrary(t, credential.Audit)
	lines := l.stream("")
	must(t, l.who.Delete("reader"))
	deadline := time.After(15 * time.Second)
	for {
		select {
		case line, open := <-lines:
			if !open {
				return
			}
			if strings.HasPrefix(line, "data: ") {
				t.Fatalf("a deleted credential hears %s", line)
			}
		case <-time.After(10 * time.Millisecond):
			l.keep(denied("a@c.example.com", "u1"))
		case <-deadline:
			t.Fatal("the stream does not end")
		}
	}
}

func TestStream_ShowsWhatComesAndEndsWithTheServer(t *testing.T) {
	l := openLibrary(t, credential.Audit)
	lines := l.stream("?verdict=deny")
	// No line tells when the search has its place: events are sent until one is seen.
	var seen audit.Event
	for seen.ID == "" {
		l.keep(audit.Event{Time: time.Now(), Kind: audit.Decision, Verdict: audit.Allow}, audit.Event{Time: time.Now(), Kind: audit.Admin}, denied("a@c.example.com", "u1"))
		select {
		case line := <-lines:
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				must(t, json.Unmarshal([]byte(data), &seen))
			}
		case <-time.After(10 * time.Millisecond):
		}
	}
	if seen.Verdict != audit.Deny || seen.UserID != "u1" {
		t.Errorf("%+v", seen)
	}
	l.stop()
	deadline := time.After(5 * time.Second)
	for {
		select {
		case _, open := <-lines:
			if !open {
				return
			}
		case <-deadline:
			t.Fatal("the stream does not end with the server")
		}
	}
}

func TestErase_TakesOneUserAndKeepsWhoErased(t *testing.T) {
	l := openLibrary(t, credential.Admin)
	l.keep(denied("a@c.example.com", "gone-for-good"), denied("b@c.example.com", "stays"), denied("c@c.example.com", "gone-for-good"))
	erase := func(query string) reply {
		return l.do("DELETE", l.server.AdminAddress(), "/v1/events"+query, "", header("Authorization", "Bearer "+l.secret))
	}
	for _, bad := range []string{"", "?user=", "?user=gone-for-good&since=2h", "?room=a"} {
		if r := erase(bad); r.status != 400 {
			t.Errorf("%q: %+v", bad, r)
		}
	}
	if r := erase("?user=gone-for-good"); r.status != 200 || r.body["erased"] != 2.0 {
		t.Fatalf("%+v", r)
	}
	if got := l.get("/v1/events?user=gone-for-good").ids(t); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := l.get("/v1/decisions").ids(t); len(got) != 1 {
		t.Errorf("%v", got)
	}
	r := l.get("/v1/events?kind=admin")
	if len(r.ids(t)) != 1 || !strings.Contains(r.raw, `"actor":"cred:reader"`) || !strings.Contains(r.raw, "2 events of one user were erased") || strings.Contains(r.raw, "gone") {
		t.Errorf("%s", r.raw)
	}
}

// unhurried is a store that only says how long an erasure may take.
type unhurried struct {
	audit.Store
	until chan time.Time
}

func (u unhurried) Erase(ctx context.Context, _ string) (int64, error) {
	until, _ := ctx.Deadline()
	u.until <- until
	<-ctx.Done()
	return 0, ctx.Err()
}

// A large store takes minutes, and whoever stops the node does not wait for them.
func TestErase_HasMoreTimeThanAQuestionAndEndsWithTheNode(t *testing.T) {
	l := openLibrary(t, credential.Admin)
	store := unhurried{until: make(chan time.Time, 1)}
	l.archive.Reader = audit.NewReader(store, nil)
	answered := make(chan reply, 1)
	go func() {
		answered <- l.do("DELETE", l.server.AdminAddress(), "/v1/events?user=ada", "", header("Authorization", "Bearer "+l.secret))
	}()
	if until := <-store.until; time.Until(until) < 10*time.Minute {
		t.Errorf("an erasure may take until %v", until)
	}
	l.stop()
	if r := <-answered; r.status != 503 {
		t.Errorf("%+v", r)
	}
}

func TestErase_LeavesNoTraceOnTheDisk(t *testing.T) {
	l := openLibrary(t, credential.Admin)
	l.keep(denied("a@c.example.com", "gone-for-good"), denied("b@c.example.com", "stays"))
	if !l.onDisk("gone-for-good") {
		t.Fatal("the user is not on the disk, so that this test shows nothing")
	}
	if r := l.do("DELETE", l.server.AdminAddress(), "/v1/events?user=gone-for-good", "", header("Authorization", "Bearer "+l.secret)); r.status != 200 {
		t.Fatalf("%+v", r)
	}
	// The spill lets go of its file a moment after the answer.
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l.onDisk("gone-for-good") {
		if <-tick.C; time.Now().After(deadline) {
			t.Fatal("the user is still on the disk")
		}
	}
}

func (l *library) onDisk(text string) (found bool) {
	l.t.Helper()
	for _, folder := range l.folders {
		names, err := filepath.Glob(filepath.Join(folder, "*"))
		must(l.t, err)
		for _, name := range names {
			b, err := os.ReadFile(name)
			found = found || err == nil && bytes.Contains(b, []byte(text))
		}
	}
	return found
}

func TestArchive_IsForReadersAndErasingForAdmins(t *testing.T) {
	l := openLibrary(t, credential.Verify)
	for _, path := range []string{"/v1/decisions", "/v1/decisions/x", "/v1/decisions/stats", "/v1/decisions/stream", "/v1/events", "/v1/events/x"} {
		if r := l.get(path); r.status != 403 {
			t.Errorf("%s: %+v", path, r)
		}
	}
	auditor := openLibrary(t, credential.Audit)
	if r := auditor.do("DELETE", auditor.server.AdminAddress(), "/v1/events?user=x", "", header("Authorization", "Bearer "+auditor.secret)); r.status != 403 {
		t.Errorf("%+v", r)
	}
}
