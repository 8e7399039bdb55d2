package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/browser"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/reason"
)

// page is one of testdata/javascript in a real browser, with a library that is Jitsi's or that Jitsi's client stands on.
type page struct {
	*browser.Browser
	t *testing.T
}

// openPage shows a page with the library that it names.
func openPage(t *testing.T, name, library string) page {
	t.Helper()
	repo, err := proc.RepoRoot()
	if err != nil {
		t.Fatal(err)
	}
	// A page of another origin than Prosody's, as where a deployment has them on two hosts.
	files := http.NewServeMux()
	for path, file := range map[string]string{
		"/":                          "internal/e2e/testdata/javascript/" + name,
		"/" + filepath.Base(library): ".cache/javascript/" + library,
	} {
		files.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, filepath.Join(repo, file)) })
	}
	server := httptest.NewServer(files)
	t.Cleanup(server.Close)
	b, err := browser.Start(e2e.Context(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Open(e2e.Context(t), server.URL); err != nil {
		t.Fatal(err)
	}
	return page{b, t}
}

func (p page) run(script string, result any) {
	p.t.Helper()
	if err := p.Run(e2e.Context(p.t), script, result); err != nil {
		p.t.Fatal(err)
	}
}

// await waits until the page has seen something: its list of what it saw is read until one fits.
func await[T any](p page, what string, is func(T) bool) T {
	p.t.Helper()
	var seen []T
	for ctx := e2e.Context(p.t); ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		p.run("return seen", &seen)
		if i := slices.IndexFunc(seen, is); i >= 0 {
			return seen[i]
		}
	}
	p.t.Fatalf("the page waits for %s; it saw %+v", what, seen)
	panic("unreachable")
}

// strophe is a page with strophe.js, the library by which Jitsi's client speaks XMPP.
type strophe struct{ page }

// happened is what it saw: a status of the connection, or a presence.
type happened struct {
	Status, From, Type, Condition, Jitsi, Text string
	Codes                                      []string
}

// enter connects with a token and enters rooms.
func (s strophe) enter(service, token string, rooms ...string) {
	s.t.Helper()
	s.run(fmt.Sprintf("enter(%q, %q, %s)", service+"?room=daily&token="+url.QueryEscape(token), e2e.Domain, list(rooms)), nil)
}

// list is a list in JavaScript.
func list(all []string) string {
	text := "["
	for _, one := range all {
		text += fmt.Sprintf("%q,", one)
	}
	return text + "]"
}

func (s strophe) mustSee(what string, is func(happened) bool) happened {
	s.t.Helper()
	return await(s.page, what, is)
}

func status(name string) func(happened) bool {
	return func(h happened) bool { return h.Status == name }
}

func TestBrowser_StropheEntersIsRefusedAndIsPutOut(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		opened := openPage(t, "strophe.html", "node_modules/strophe.js/dist/strophe.umd.min.js")
		for transport, service := range map[string]string{"WebSocket": s.Prosody.WebSocketURL(), "BOSH": s.Prosody.BOSHURL()} {
			t.Run(transport, func(t *testing.T) {
				page := strophe{page{opened.Browser, t}}
				page.enter(service, e2e.Token(t, e2e.Claims{"exp": seconds(-time.Minute)}))
				refused := page.mustSee("its login to be refused", status("AUTHFAIL"))
				mustSay(t, refused.Text, reason.TokenExpired)

				token := e2e.Token(t, e2e.Claims{"room": "daily", "context": e2e.Claims{"user": e2e.Claims{"id": transport}}})
				page.enter(service, token, e2e.Room("daily"), e2e.Room("other"))
				page.mustSee("its own presence in daily", func(h happened) bool {
					return h.From == e2e.Room("daily")+"/strophe" && h.Type == "" && slices.Contains(h.Codes, "110")
				})
				refused = page.mustSee("the other room to refuse it", func(h happened) bool {
					return h.From == e2e.Room("other")+"/strophe" && h.Type == "error"
				})
				if refused.Condition != "not-allowed" || refused.Jitsi != "room-mismatch" {
					t.Errorf("the other room refused it with <%s/> and Jitsi's <%s/>", refused.Condition, refused.Jitsi)
				}
				mustSay(t, refused.Text, reason.RoomMismatch)

				if out, err := s.Verifier.Command("revoke", "--user", transport).CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				kicked := page.mustSee("it to be taken out of daily", func(h happened) bool {
					return h.Type == "unavailable" && slices.Contains(h.Codes, "307")
				})
				mustSay(t, kicked.Text, reason.TokenRevoked)
				page.mustSee("its connection to end", status("DISCONNECTED"))
				page.enter(service, token)
				refused = page.mustSee("its next login to be refused", status("AUTHFAIL"))
				mustSay(t, refused.Text, reason.TokenRevoked)
			})
		}
		complaints, err := opened.Complaints(e2e.Context(t))
		if err != nil || len(complaints) > 0 {
			t.Errorf("the browser complained: %q, %v", complaints, err)
		}
	})
}
