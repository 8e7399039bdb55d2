package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/e2e/verifier"
)

// tunnel stands between the browser and a node. What its test holds up waits, and what it cuts off breaks.
type tunnel struct {
	server *httptest.Server
	mu     sync.Mutex
	held   func(*http.Request) bool
	open   chan struct{}
	cut    string
}

func dig(t *testing.T, v *verifier.Verifier) *tunnel {
	t.Helper()
	to, err := url.Parse(v.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	tun := &tunnel{}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	tun.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tun.mu.Lock()
		held, open, cut := tun.held, tun.open, tun.cut
		tun.mu.Unlock()
		if r.Method == cut {
			panic(http.ErrAbortHandler)
		}
		if held != nil && held(r) {
			select {
			case <-open:
			case <-r.Context().Done():
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		tun.server.CloseClientConnections()
		tun.server.Close()
	})
	return tun
}

// hold lets requests of a method wait, until what it gives back is called.
func (tun *tunnel) hold(method string) (release func()) {
	open := make(chan struct{})
	tun.mu.Lock()
	defer tun.mu.Unlock()
	tun.held, tun.open = func(r *http.Request) bool { return r.Method == method }, open
	return func() {
		tun.mu.Lock()
		defer tun.mu.Unlock()
		tun.held = nil
		close(open)
	}
}

// cutOff breaks requests of a method; none ends that.
func (tun *tunnel) cutOff(method string) {
	tun.mu.Lock()
	defer tun.mu.Unlock()
	tun.cut = method
}

// decide has the node decide about a token.
func decide(t *testing.T, v *verifier.Verifier, id, token string) {
	t.Helper()
	answer, err := http.Post(v.URL+"/v1/verify", "application/json", strings.NewReader(
		fmt.Sprintf(`{"id":%q,"stage":"connect","host":%q,"token":%q,"session":%q}`, id, e2e.Domain, token, id)))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

func revoke(t *testing.T, v *verifier.Verifier, user string) {
	t.Helper()
	if out, err := v.Command("revoke", "--user", user).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// revoked are the values of what is revoked.
func revoked(t *testing.T, v *verifier.Verifier) (values []string) {
	t.Helper()
	out, err := v.Command("revoke", "list", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var r struct{ Value string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		values = append(values, r.Value)
	}
	return values
}

func (r *reader) run(script string, result any) {
	r.t.Helper()
	r.must(r.Run(e2e.Context(r.t), script, result))
}

// rows is how many rows of the table have a text.
func (r *reader) rows(text string) (n int) {
	r.t.Helper()
	r.run(fmt.Sprintf(`return [...document.querySelectorAll("tbody tr")].filter((row) => row.innerText.includes(%q)).length`, text), &n)
	return n
}

func TestConsole_DoesWhatItsReviewShowedAndNothingElse(t *testing.T) {
	v := e2e.StartVerifier(t, e2e.Setup{})
	revoke(t, v, "kept")
	tun := dig(t, v)
	r := sitDown(t, v)
	r.must(r.Open(e2e.Context(t), tun.server.URL+"/#/revocations"))
	r.signIn("admin")
	r.mustSee("kept")
	release := tun.hold("POST")
	r.must(r.Click(e2e.Context(t), `//option[@value="user"]`))
	r.write("Value", "first")
	// Pressed twice, with something else written in between, while the node takes its time.
	r.run(`const form = document.querySelector("main form"); form.querySelector("button").click(); form.querySelector("button").click()`, nil)
	var changeable bool
	r.run(`return !document.querySelector("main form").inert`, &changeable)
	if changeable {
		t.Error("the form can be changed while it is asked what it would do")
	}
	r.click("Lift")
	r.mustSee("Lift this revocation?")
	release()
	r.run(`await new Promise((resolve) => setTimeout(resolve, 500))`, nil)
	r.mustSee("Lift this revocation?")
	r.must(r.Click(e2e.Context(t), `//dialog//button[normalize-space()="Cancel"]`))
	r.mustSee("Revoke?")
	r.mustSee("never ends")
	r.click("Revoke")
	r.mustSee("Revoked.")
	if got := strings.Join(revoked(t, v), " "); got != "first kept" {
		t.Errorf("in force are %q", got)
	}

	// A review ends with its view.
	r.must(r.Click(e2e.Context(t), `//option[@value="user"]`))
	r.write("Value", "second")
	r.click("Revoke…")
	r.mustSee("Revoke?")
	r.run(`history.back(); await new Promise((resolve) => setTimeout(resolve, 300))`, nil)
	r.run(`location.hash = "#/keys"; await new Promise((resolve) => setTimeout(resolve, 300))`, nil)
	if got := len(revoked(t, v)); got != 2 {
		t.Errorf("%d are revoked", got)
	}
	r.mustHaveNoComplaint()
}

func TestConsole_RevokesToTheLetterWhatALinkNames(t *testing.T) {
	v := e2e.StartVerifier(t, e2e.Setup{})
	decide(t, v, "1", holder(t, "\u05d0da ", "daily"))
	decide(t, v, "2", holder(t, "eve\n", "daily"))
	r := sitDown(t, v)
	r.signIn("admin")
	r.must(r.Click(e2e.Context(t), `//tr[contains(., "eve")]//a`))
	r.mustSee("Revoke this token…")
	if text, err := r.Text(e2e.Context(t)); err != nil || strings.Contains(text, "Revoke this user") {
		t.Errorf("a form is offered that cannot hold the name (%v)", err)
	}
	r.click("Decisions")
	r.must(r.Click(e2e.Context(t), `//tr[contains(., "da ")]//a`))
	r.click("Revoke this user's tokens…")
	r.click("Revoke…")
	r.mustSee("it would have met 1 session.")
	r.click("Revoke")
	r.mustSee("Revoked.")
	if got := revoked(t, v); len(got) != 1 || got[0] != "\u05d0da " {
		t.Errorf("revoked are %q", got)
	}
	r.mustHaveNoComplaint()
}

func TestConsole_SaysWhetherItWasDone(t *testing.T) {
	redis, err := redisserver.Start(e2e.Context(t), t.TempDir(), "--appendonly", "no")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Stop() })
	v := e2e.StartVerifier(t, e2e.Setup{Verifier: "redis: {url: " + redis.URL() + "}"})
	tun := dig(t, v)
	r := sitDown(t, v)
	r.must(r.Open(e2e.Context(t), tun.server.URL+"/#/revocations?selector=user&value=leaker"))
	r.signIn("revoke")
	r.click("Revoke…")
	r.click("Revoke")
	r.mustSee("Revoke it again, until this is not said any more.")
	var still string
	r.run(`return document.querySelector("main form").elements.value.value`, &still)
	if still != "leaker" {
		t.Errorf("it is to be done again, and the form has %q", still)
	}
	r.write("Ends", "7d")
	r.click("Revoke…")
	r.mustSee("It spares none, and ends at")
	tun.cutOff("POST")
	r.click("Revoke")
	r.mustSee("Whether this was done is not known")
	tun.cutOff("")
	r.write("Ends", "7d")
	r.click("Revoke…")
	r.click("Revoke")
	r.mustSee("the later times of the two hold. It spares none, and never ends.")
	if n := r.rows("leaker"); n != 1 {
		t.Errorf("it has %d rows", n)
	}
}

func TestConsole_OffersWhatARoleMay(t *testing.T) {
	v := e2e.StartVerifier(t, e2e.Setup{})
	revoke(t, v, "leaker")
	r := sitDown(t, v)
	r.signIn("revoke")
	r.mustSee("leaker")
	r.click("Lift")
	r.must(r.Click(e2e.Context(t), `//dialog//button[normalize-space()="Lift"]`))
	r.mustSee("Lifted.")
	var links string
	r.run(`return document.querySelector("header").innerText`, &links)
	if strings.Contains(links, "Decisions") || !strings.Contains(links, "Revocations") {
		t.Errorf("role revoke is offered %q", links)
	}
	out, err := v.Command("audit", "--kind", "admin").Output()
	if err != nil || strings.Contains(string(out), "not enough") {
		t.Errorf("it asked for what its role may not: %s, %v", out, err)
	}
	r.click("Sign out")
	revoke(t, v, "leaker")
	r.signIn("audit")
	r.click("Revocations")
	r.mustSee("Who revokes or lifts needs one with the role revoke or admin.")
	r.mustSee("leaker")
	var buttons int
	r.run(`return document.querySelectorAll("form[aria-label=Revoke], main tbody button").length`, &buttons)
	if buttons > 0 {
		t.Errorf("role audit is offered to revoke or to lift")
	}
	r.mustHaveNoComplaint()
}

func TestConsole_KeepsATokenThatIsPastedAnywhereOutOfAddresses(t *testing.T) {
	v := e2e.StartVerifier(t, e2e.Setup{})
	token := holder(t, "leaker", "daily")
	decide(t, v, "1", token)
	r := sitDown(t, v)
	r.write("Credential", "“usher_of a mail”\n")
	r.mustSee("This is no credential")
	r.signIn("audit")
	r.write("Decision id", token+"\n")
	r.mustSee("This is no decision id")
	for _, pasted := range []string{token, "Bearer " + token, "https://meet.example.com/daily?jwt=" + token + "#config"} {
		r.must(r.Open(e2e.Context(t), v.AdminURL+"/#/decisions?room=nowhere"))
		r.mustSee("Nothing in this time fits these filters.")
		r.write("Room", pasted+"\n")
		r.mustSee("Fingerprint or token")
		r.mustSee("leaker")
	}
	var asked string
	r.run(`return location.href + performance.getEntriesByType("resource").map((entry) => entry.name).join()`, &asked)
	for part := range strings.SplitSeq(token, ".") {
		if strings.Contains(asked, part) {
			t.Errorf("a part of the token stands in %s", asked)
		}
	}
	r.must(r.Open(e2e.Context(t), v.AdminURL+"/#/event/%"))
	r.mustSee("No event has this id.")
	r.must(r.Open(e2e.Context(t), v.AdminURL+"/#/revocation/.")) // which the browser would make the whole list of
	r.mustSee("There is no revocation with this id")
	r.mustHaveNoComplaint()
}

func TestConsole_FollowsWithoutAGapAndSaysWhenItEnds(t *testing.T) {
	v := e2e.StartVerifier(t, e2e.Setup{})
	tun := dig(t, v)
	r := sitDown(t, v)
	r.must(r.Open(e2e.Context(t), tun.server.URL+"/"))
	r.signIn("audit")
	r.mustSee("Nothing in this time fits these filters.")
	follow := `//label[contains(., "Show new ones")]/input`
	decide(t, v, "1", holder(t, "before", "daily"))
	r.must(r.Click(e2e.Context(t), follow))
	r.mustSee("before")
	decide(t, v, "2", holder(t, "while", "daily"))
	r.mustSee("while")
	tun.server.CloseClientConnections()
	r.mustSee("new decisions are not shown any more")
	decide(t, v, "3", holder(t, "after", "daily"))
	var follows bool
	r.run(`return document.querySelector("label.check input[onchange], main > label.check input").checked`, &follows)
	if follows {
		t.Error("the box still says that it follows")
	}
	r.must(r.Click(e2e.Context(t), follow))
	r.mustSee("after")
	for _, name := range []string{"before", "while", "after"} {
		if n := r.rows(name); n != 1 {
			t.Errorf("%s has %d rows", name, n)
		}
	}
	r.mustHaveNoComplaint()
}

func TestConsole_ShowsEachRowOnce(t *testing.T) {
	v := e2e.StartVerifier(t, e2e.Setup{})
	var ids strings.Builder
	for n := range 150 {
		fmt.Fprintf(&ids, "user-%03d\n", n)
	}
	list := filepath.Join(t.TempDir(), "ids")
	if err := os.WriteFile(list, []byte(ids.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := v.Command("revoke", "--from", list, "--as", "user").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	tun := dig(t, v)
	r := sitDown(t, v)
	r.must(r.Open(e2e.Context(t), tun.server.URL+"/#/revocations"))
	r.signIn("audit")
	r.mustSee("Older ones")
	r.run(`const older = [...document.querySelectorAll("main button")].at(-1); older.click(); older.click(); older.click()`, nil)
	for deadline := e2e.Context(t); r.rows("user-") < 150 && deadline.Err() == nil; {
	}
	r.run(`await new Promise((resolve) => setTimeout(resolve, 300))`, nil)
	if n := r.rows("user-"); n != 150 {
		t.Errorf("150 are shown in %d rows", n)
	}
	r.write("Value or token", "user-007\n")
	for deadline := e2e.Context(t); r.rows("user-") != 1 && deadline.Err() == nil; {
	}
	if n := r.rows("user-007"); n != 1 {
		t.Errorf("the one that is searched for has %d rows", n)
	}
	r.write("Value or token", holder(t, "leaker", "daily")+"\n")
	r.mustSee("Nothing that is in force fits these filters.")
	r.mustHaveNoComplaint()
}

func TestConsole_OffersNoRevocationByWhatTheAuditAloneHas(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("a key of pseudonyms, which is long enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := e2e.StartVerifier(t, e2e.Setup{Verifier: "audit: {pseudonym_key_file: " + key + "}"})
	decide(t, v, "1", e2e.Token(t, e2e.Claims{"jti": strings.Repeat("long", 90), "room": "daily", "context": e2e.Claims{"user": e2e.Claims{"id": "ada"}}}))
	r := sitDown(t, v)
	r.signIn("admin")
	r.must(r.Click(e2e.Context(t), `//tr[contains(., "connect")]//a`))
	r.mustSee("Revoke this token…")
	r.mustSee("p1:")
	text, err := r.Text(e2e.Context(t))
	if err != nil || strings.Contains(text, "Revoke this jti") || strings.Contains(text, "Revoke this user") {
		t.Errorf("a revocation is offered that would meet nothing (%v):\n%s", err, text)
	}
}
