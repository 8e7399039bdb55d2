package console_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/browser"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/e2e/verifier"
)

func TestMain(m *testing.M) { e2e.Main(m) }

// reader is a person before the console; what fails them fails their test.
type reader struct {
	*browser.Browser
	t *testing.T
	v *verifier.Verifier
}

// sitDown opens the console of a verifier.
func sitDown(t *testing.T, v *verifier.Verifier) *reader {
	t.Helper()
	b, err := browser.Start(e2e.Context(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{b, t, v}
	t.Cleanup(func() {
		if dir := os.Getenv("SCREENSHOTS"); dir != "" || t.Failed() {
			r.keepScreenshot(dir)
		}
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	r.must(b.Open(e2e.Context(t), v.AdminURL+"/"))
	return r
}

// keepScreenshot shows whoever looks for the fault what the window showed.
func (r *reader) keepScreenshot(dir string) {
	if dir == "" {
		dir = os.TempDir()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // that of the test has ended
	defer cancel()
	if png, err := r.Screenshot(ctx); err == nil {
		path := filepath.Join(dir, strings.ReplaceAll(r.t.Name(), "/", "_")+".png")
		r.t.Logf("what the window showed: %s (%v)", path, os.WriteFile(path, png, 0o600))
	}
}

func (r *reader) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *reader) click(text string) {
	r.t.Helper()
	r.must(r.Click(e2e.Context(r.t), fmt.Sprintf(`//*[(self::a or self::button or self::summary) and normalize-space()=%q]`, text)))
}

// write fills the control with a label.
func (r *reader) write(label, text string) {
	r.t.Helper()
	r.must(r.Type(e2e.Context(r.t), fmt.Sprintf(`//*[(self::input or self::textarea) and (@aria-label=%q or ancestor::label[normalize-space(text())=%q])]`, label, label), text))
}

// mustSee waits for a text.
func (r *reader) mustSee(text string) {
	r.t.Helper()
	ctx := e2e.Context(r.t)
	for {
		seen, err := r.Text(ctx)
		if err == nil && strings.Contains(seen, text) {
			return
		}
		if ctx.Err() != nil {
			r.t.Fatalf("%q is never shown (%v); what is:\n%s", text, err, seen)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (r *reader) signIn(role string) {
	r.t.Helper()
	r.write("Credential", credential(r.t, r.v, role)+"\n")
	r.mustSee("Sign out")
}

func (r *reader) mustHaveNoComplaint() {
	r.t.Helper()
	all, err := r.Complaints(e2e.Context(r.t))
	if err != nil || len(all) > 0 {
		r.t.Errorf("the browser complains: %q, %v", all, err)
	}
}

// credential makes one with a role.
func credential(t *testing.T, v *verifier.Verifier, role string) string {
	t.Helper()
	out, err := v.Command("credential", "create", "--role", role, "--name", "reader-"+role).Output()
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(out))
	return fields[len(fields)-1]
}

func holder(t *testing.T, name, room string) string {
	t.Helper()
	return e2e.Token(t, e2e.Claims{"jti": name, "room": room, "context": e2e.Claims{"user": e2e.Claims{"id": name}}})
}

func TestConsole_ShowsNothingBeforeACredentialThatIsKnown(t *testing.T) {
	r := sitDown(t, e2e.StartVerifier(t, e2e.Setup{}))
	r.write("Credential", "usher_"+strings.Repeat("A", 43)+"\n")
	r.mustSee("This credential is not known here.")
	r.write("Credential", credential(t, r.v, "verify")+"\n")
	r.mustSee("This credential's role does not allow this.")
	r.signIn("audit")
	r.mustSee("Nothing in this time fits these filters.")
	r.must(r.Open(e2e.Context(t), r.v.AdminURL+"/#/keys"))
	r.mustSee("my-app")
	r.click("Sign out")
	r.mustSee("Show a credential")
	var kept int
	r.must(r.Run(e2e.Context(t), "return sessionStorage.length + localStorage.length + document.cookie.length", &kept))
	if kept != 0 {
		t.Error("something is left after signing out")
	}
	r.mustHaveNoComplaint()
}

func TestConsole_AnswersWhyAJoinWasRejected(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		s := e2e.Start(t, release, e2e.Setup{})
		refused := s.Login(t, e2e.Who{Token: holder(t, "mallory", "daily")}).MustBeRefused("board", "m")
		r := sitDown(t, s.Verifier)
		r.signIn("audit")
		r.write("Decision id", refused.Text+"\n") // as a person pastes it
		r.mustSee("This token is not for this room.")
		r.mustSee("The token's room claim does not open the room that was asked for")
		r.click("Decisions")
		r.mustSee("mallory")
		r.click("room_mismatch 1")
		r.mustSee("room_mismatch")
		r.mustHaveNoComplaint()
	})
}

func TestConsole_RevokesAndLifts(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		s := e2e.Start(t, release, e2e.Setup{})
		token := holder(t, "leaker", "*")
		inside := s.Login(t, e2e.Who{Token: token})
		inside.MustJoin("daily", "leaker")
		r := sitDown(t, s.Verifier)
		r.signIn("admin")
		r.must(r.Click(e2e.Context(t), `//tr[contains(., "connect")]//a`))
		r.click("Revoke this token…")
		r.write("Reason", "pasted into a ticket")
		r.click("Revoke…")
		r.mustSee("it would have met 1 session.")
		r.click("Revoke")
		r.mustSee("Revoked.")
		inside.MustExpect("the stream's end", func(e *client.Element) bool { return e.Name() == "error" })
		if text := s.MustRefuseLogin(t, e2e.Who{Token: token}).Text; !strings.Contains(text, "revoked") {
			t.Errorf("the login is refused with %q", text)
		}
		r.mustSee("pasted into a ticket")
		r.click("Lift")
		r.must(r.Click(e2e.Context(t), `//dialog//button[normalize-space()="Lift"]`))
		r.mustSee("Lifted.")
		r.mustSee("Nothing is revoked.")
		s.Login(t, e2e.Who{Token: token})
		r.mustHaveNoComplaint()
	})
}

func TestConsole_UntilAloneHasNoBeginning(t *testing.T) {
	s := e2e.StartVerifier(t, e2e.Setup{})
	until := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	decide(t, s, "1", holder(t, "visitor", "*"))
	r := sitDown(t, s)
	r.signIn("audit")
	r.must(r.Open(e2e.Context(t), s.AdminURL+"/#/decisions?until="+until))
	r.mustSee("visitor")
	r.mustSee("allowed 1")
	r.must(r.Open(e2e.Context(t), s.AdminURL+"/#/decisions?until=2020-11-01"))
	r.mustSee("Nothing in this time fits these filters.")
	r.mustHaveNoComplaint()
}

func TestConsole_FollowsDecisions(t *testing.T) {
	releases, err := prosody.Releases()
	if err != nil {
		t.Fatal(err)
	}
	s := e2e.Start(t, releases[0], e2e.Setup{})
	r := sitDown(t, s.Verifier)
	r.signIn("audit")
	r.must(r.Click(e2e.Context(t), `//label[contains(., "Show new ones")]/input`))
	s.Login(t, e2e.Who{Token: holder(t, "newcomer", "*")}).MustJoin("daily", "n")
	r.mustSee("newcomer")
	r.mustHaveNoComplaint()
}

func TestConsole_TextsOfOthersStayTexts(t *testing.T) {
	s := e2e.StartVerifier(t, e2e.Setup{})
	const markup = `<img src=x onerror="document.title='broken'">`
	asked := fmt.Sprintf(`{"id":"1","stage":"connect","host":"%s","token":%q,"user_agent":%q,"session":"s"}`,
		e2e.Domain, holder(t, markup+"\u202etxt", "*"), "<script>document.title='broken'</script>")
	answer, err := http.Post(s.URL+"/v1/verify", "application/json", strings.NewReader(asked))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	r := sitDown(t, s)
	r.signIn("audit")
	r.mustSee(`\u{202e}txt`)
	r.must(r.Click(e2e.Context(t), `//tr[contains(., "connect")]//a`))
	r.mustSee("<script>document.title='broken'</script>")
	var title string
	r.must(r.Run(e2e.Context(t), "return document.title", &title))
	if title != "usher" {
		t.Errorf("the page's title is now %q", title)
	}
	r.mustHaveNoComplaint()
}

func TestConsole_ATokenStaysInItsForm(t *testing.T) {
	r := sitDown(t, e2e.StartVerifier(t, e2e.Setup{}))
	r.signIn("audit")
	r.click("Explain a token")
	token := e2e.Token(t, e2e.Claims{"aud": "another"})
	r.write("Token", token)
	r.write("Host that would ask", e2e.Domain)
	r.click("Explain")
	r.mustSee("audience_not_allowed")
	r.mustSee("usher.yaml")
	var kept string
	r.must(r.Run(e2e.Context(t), "return location.href + JSON.stringify({...sessionStorage, ...localStorage}) + document.cookie", &kept))
	if strings.Contains(kept, token[:20]) {
		t.Errorf("the token is kept: %s", kept)
	}
	r.click("Keys")
	r.mustSee("Last error")
	r.click("Explain a token")
	r.mustSee("Host that would ask")
	var typed string
	r.must(r.Run(e2e.Context(t), `return document.querySelector("textarea").value`, &typed))
	if typed != "" {
		t.Errorf("the form still has %q", typed)
	}
	r.mustHaveNoComplaint()
}
