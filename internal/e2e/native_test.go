package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/reason"
)

// Clients on plain c2s have no URL: their token comes by SASL.

// withTLS is a stack whose c2s offers STARTTLS and whose users may send the token as PLAIN's password.
func withTLS(certificate string) e2e.Setup {
	return e2e.Setup{
		Modules: []string{"tls"},
		Host: fmt.Sprintf(`
			usher_plain = true
			ssl = { certificate = %q, key = %q }`, certificate, certificate),
	}
}

func TestNativeClient_ForeignOnesLogInByEachMechanismAndAreRefusedWithItsText(t *testing.T) {
	certificate := selfSigned(t, e2e.Domain)
	clients := map[string]func(*testing.T, map[string]any) []seen{"slixmpp": slixmpp, "xmpp.js": xmppJS}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, withTLS(certificate))
		for name, run := range clients {
			for _, mechanism := range []string{"PLAIN", "OAUTHBEARER"} {
				t.Run(name+" by "+mechanism, func(t *testing.T) {
					orders := map[string]any{
						"domain": e2e.Domain, "port": s.Prosody.C2SPort, "ca": certificate, "mechanism": mechanism,
						"service": "xmpp://" + s.Prosody.C2SAddress(),
						"token":   e2e.Token(t, e2e.Claims{"room": "daily"}),
						"rooms":   []string{e2e.Room("daily"), e2e.Room("other")},
					}
					mustSeeOneRoom(t, run(t, orders))
					orders["token"] = e2e.Token(t, e2e.Claims{"aud": "other"})
					said := run(t, orders)
					if len(said) != 1 || said[0].Login != "refused" || !strings.HasPrefix(said[0].Condition, "not-a") {
						t.Fatalf("it saw %+v", said)
					}
					mustSay(t, said[0].Text, reason.AudienceNotAllowed)
				})
			}
		}
	})
}

func TestNativeClient_XMPPJSLogsInByWebSocketWithTheTokenInItsURL(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		orders := map[string]any{
			"domain": e2e.Domain, "mechanism": "ANONYMOUS",
			"service": s.Prosody.WebSocketURL() + "?token=" + e2e.Token(t, e2e.Claims{"room": "daily"}),
			"rooms":   []string{e2e.Room("daily"), e2e.Room("other")},
		}
		mustSeeOneRoom(t, xmppJS(t, orders))
		orders["service"] = s.Prosody.WebSocketURL() + "?token=" + e2e.Token(t, e2e.Claims{"exp": 1})
		said := xmppJS(t, orders)
		if len(said) != 1 || said[0].Login != "refused" || said[0].Condition != "not-allowed" {
			t.Fatalf("it saw %+v", said)
		}
		mustSay(t, said[0].Text, reason.TokenExpired)
	})
}

func mustSeeOneRoom(t *testing.T, said []seen) {
	t.Helper()
	if len(said) != 3 || said[0].Login != "done" || !said[1].Joined || said[2].Joined || said[2].Condition != "not-allowed" {
		t.Fatalf("it saw %+v", said)
	}
	mustSay(t, said[2].Text, reason.RoomMismatch)
}

// xmppJS runs @xmpp/client, which .ci/setup has put into .cache.
func xmppJS(t *testing.T, orders map[string]any) []seen {
	t.Helper()
	repo, err := proc.RepoRoot()
	if err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(orders)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(e2e.Context(t), "node", "testdata/javascript/xmpp_join.mjs")
	cmd.Env = append(os.Environ(), "XMPP_JS="+filepath.Join(repo, ".cache/javascript"))
	if ca, ok := orders["ca"].(string); ok {
		cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+ca)
	}
	cmd.Stdin = bytes.NewReader(input)
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("xmpp.js: %v\n%s%s", err, out, words.Bytes())
	}
	return readSeen(t, out)
}

func readSeen(t *testing.T, out []byte) (all []seen) {
	t.Helper()
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var one seen
		if err := d.Decode(&one); err != nil {
			t.Fatalf("the client printed %q: %v", out, err)
		}
		all = append(all, one)
	}
	return all
}

// mechanisms are those that a stream offers.
func mechanisms(v *e2e.Visitor) (names []string) {
	features := v.MustExpect("features", func(e *client.Element) bool { return e.Name() == "features" })
	for _, m := range features.All("mechanisms/mechanism") {
		names = append(names, m.Text)
	}
	slices.Sort(names)
	return names
}

func TestNativeClient_NoMechanismThatShowsATokenIsOfferedInTheClear(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		for plain, want := range map[string]string{"false": "[ANONYMOUS OAUTHBEARER]", "true": "[ANONYMOUS OAUTHBEARER PLAIN]"} {
			s := e2e.Start(t, release, e2e.Setup{Host: "usher_plain = " + plain})
			mustHaveToShowItInTheURL(t, s.Connect(t, e2e.Who{Via: e2e.TCP}))
			s.Lua(t, e2e.SecureTCP, nil)
			if got := fmt.Sprint(mechanisms(s.Connect(t, e2e.Who{Via: e2e.TCP}))); got != want {
				t.Errorf("with usher_plain = %s an encrypted stream offers %s, want %s", plain, got, want)
			}
		}
	})
}

// strophe.js takes OAUTHBEARER wherever it is offered, unless its caller says by null that there is no password. Jitsi's client
// says nothing.
func TestNativeClient_WhoComesByAURLIsOfferedNoOtherWayToShowAToken(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Host: "usher_plain = true"})
		for _, via := range []e2e.Via{e2e.WebSocket, e2e.BOSH} {
			for _, token := range []string{"", e2e.Token(t, nil)} {
				mustHaveToShowItInTheURL(t, s.Connect(t, e2e.Who{Via: via, Token: token}))
			}
		}
	})
}

// mustHaveToShowItInTheURL says that a stream neither offers nor takes what shows a token by SASL.
func mustHaveToShowItInTheURL(t *testing.T, v *e2e.Visitor) {
	t.Helper()
	if got := fmt.Sprint(mechanisms(v)); got != "[ANONYMOUS]" {
		t.Errorf("the stream offers %s", got)
	}
	for mechanism, message := range map[string]string{
		"PLAIN":       "\x00anybody\x00" + e2e.Token(t, nil),
		"OAUTHBEARER": "n,,\x01auth=Bearer " + e2e.Token(t, nil) + "\x01\x01",
	} {
		var refused *client.LoginError
		if err := v.AuthenticateBy(e2e.Context(t), mechanism, message); !errors.As(err, &refused) || refused.Condition != "invalid-mechanism" {
			t.Errorf("%s ended with: %v", mechanism, err)
		}
	}
}

func TestNativeClient_MessagesAreReadAsTheirRFCsSay(t *testing.T) {
	good := e2e.Token(t, nil)
	const malformed = "malformed-request"
	cases := []struct{ mechanism, message, want string }{ // want: a condition, or "" for let in
		// RFC 7628, section 4.1: the example, with our token.
		{"OAUTHBEARER", "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer " + good + "\x01\x01", ""},
		{"OAUTHBEARER", "n,,\x01auth=Bearer " + good + "\x01\x01", ""},
		{"OAUTHBEARER", "n,,\x01auth=bearer " + good + "\x01host=x\x01\x01", ""},
		{"OAUTHBEARER", "y,a=,\x01auth=Bearer " + good + "\x01\x01", ""},
		{"OAUTHBEARER", "", malformed},
		{"OAUTHBEARER", "n,,\x01\x01", malformed}, // section 3.2.2's way to ask for what is wanted, which we do not tell
		{"OAUTHBEARER", "n,,\x01auth=Basic " + good + "\x01\x01", malformed},
		{"OAUTHBEARER", "n,,auth=Bearer " + good, malformed},
		{"OAUTHBEARER", "p=tls-unique,,\x01auth=Bearer " + good + "\x01\x01", malformed}, // channel binding is not offered
		{"OAUTHBEARER", "n,,\x01auth=Bearer \x00\xff\x01\x01", "not-allowed"},
		{"OAUTHBEARER", "n,,\x01auth=Bearer " + strings.Repeat("x", 7000) + "\x01\x01", "not-allowed"},
		{"PLAIN", "\x00anybody\x00" + good, ""},
		{"PLAIN", "admin@meet.example.com\x00anybody\x00" + good, ""}, // the wish to be somebody else is not granted
		{"PLAIN", "\x00anybody\x00", malformed},
		{"PLAIN", "anybody", malformed},
		{"PLAIN", "\x00\x00" + good, malformed},
		{"PLAIN", "", malformed},
		{"PLAIN", "\x00anybody\x00" + good + "\x00more", malformed},
		{"PLAIN", "\x00anybody\x00sesame", "not-allowed"},
		{"ANONYMOUS", "trace\x00\xff", "not-allowed"},
		{"SCRAM-SHA-1", "n,,n=user,r=nonce", "invalid-mechanism"},
		{"NONSENSE", "", "invalid-mechanism"},
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Host: "usher_plain = true"})
		s.Lua(t, e2e.SecureTCP, nil)
		for _, c := range cases {
			v := s.Connect(t, e2e.Who{Via: e2e.TCP})
			mechanisms(v)
			err := v.AuthenticateBy(e2e.Context(t), c.mechanism, c.message)
			var refused *client.LoginError
			switch {
			case c.want == "" && err != nil, c.want != "" && !errors.As(err, &refused):
				t.Errorf("%s %.60q ended with: %v", c.mechanism, c.message, err)
			case c.want == "":
				if err := v.Bind(e2e.Context(t)); err != nil || strings.HasPrefix(v.JID, "admin@") {
					t.Errorf("%s %.60q became %q: %v", c.mechanism, c.message, v.JID, err)
				}
			case refused.Condition != c.want:
				t.Errorf("%s %.60q was refused with <%s/>, want %s", c.mechanism, c.message, refused.Condition, c.want)
			}
		}
	})
}

// The username in a message is a wish: who has it already keeps it for his own identity.
func TestNativeClient_AUsernameIsGivenToItsOwnIdentityAlone(t *testing.T) {
	of := func(user, jti string) string {
		return e2e.Token(t, e2e.Claims{"jti": jti, "context": e2e.Claims{"user": e2e.Claims{"id": user}}})
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Host: "usher_plain = true"})
		s.Lua(t, e2e.SecureTCP, nil)
		login := func(username, token string) *e2e.Visitor {
			v := s.Connect(t, e2e.Who{Via: e2e.TCP})
			mechanisms(v)
			if err := v.AuthenticateBy(e2e.Context(t), "PLAIN", "\x00"+username+"\x00"+token); err != nil {
				t.Fatal(err)
			}
			if err := v.Bind(e2e.Context(t)); err != nil {
				t.Fatal(err)
			}
			return v
		}
		alice, _, _ := strings.Cut(login("alice", of("alice", "1")).JID, "@")
		if alice == "alice" {
			t.Error("a username was given for the asking")
		}
		if again := login(alice, of("alice", "2")).JID; !strings.HasPrefix(again, alice+"@") {
			t.Errorf("the same user became %s", again)
		}
		if mallory := login(alice, of("mallory", "3")).JID; strings.HasPrefix(mallory, alice+"@") {
			t.Error("another user got the username")
		}
	})
}

// Clients other than Jitsi's name a session to go on with after their login alone (XEP-0198), and ask there for the username that
// they were set up with, not for the one that they were given.
func TestNativeClient_GoesOnWithTheSessionThatItNamesAfterItsLogin(t *testing.T) {
	of := func(user, jti string) string {
		return e2e.Token(t, e2e.Claims{"jti": jti, "context": e2e.Claims{"user": e2e.Claims{"id": user}}})
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		s.Lua(t, e2e.SecureTCP, nil)
		for _, via := range []e2e.Via{e2e.TCP, e2e.WebSocket} {
			login := func(token string) *e2e.Visitor {
				v := s.Connect(t, e2e.Who{Via: via, Token: token})
				mechanisms(v)
				mechanism, message := "ANONYMOUS", ""
				if via == e2e.TCP {
					mechanism, message = "OAUTHBEARER", "n,a=alice@meet.example.com,\x01auth=Bearer "+token+"\x01\x01"
				}
				if err := v.AuthenticateBy(e2e.Context(t), mechanism, message); err != nil {
					t.Fatal(err)
				}
				return v
			}
			answer := func(v *e2e.Visitor) *client.Element {
				return v.MustExpect("an answer of stream management", func(e *client.Element) bool {
					return e.XMLName.Space == "urn:xmpp:sm:3" && (e.Name() == "enabled" || e.Name() == "resumed" || e.Name() == "failed")
				})
			}
			resume := func(v *e2e.Visitor, id string) string {
				v.MustSend(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>`, id)
				return answer(v).Name()
			}
			alice := login(of("alice", "1"))
			if err := alice.Bind(e2e.Context(t)); err != nil {
				t.Fatal(err)
			}
			alice.MustSend(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`)
			id := answer(alice).Attr("id")
			alice.MustJoin("daily", "alice")
			alice.Close()

			mallory := login(of("mallory", "2"))
			if said := resume(mallory, id); said != "failed" {
				t.Errorf("by %s the session of another: %s", via, said)
			}
			if err := mallory.Bind(e2e.Context(t)); err != nil {
				t.Errorf("who was refused another's session gets none of his own: %v", err)
			}
			back := login(of("alice", "3"))
			if said := resume(back, id); said != "resumed" {
				t.Fatalf("by %s the session of the same user: %s", via, said)
			}
			// Nobody else has the nick: it is her own seat, which she leaves and takes again.
			if err := back.Leave(e2e.Context(t), e2e.Room("daily"), "alice"); err != nil {
				t.Errorf("by %s she came back without her seat: %v", via, err)
			}
			back.Close()
		}
	})
}

// reluctant are connections from which nothing is read at first, so that little more than a socket's buffers fits in.
type reluctant struct{ net.Listener }

func (l reluctant) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	time.Sleep(200 * time.Millisecond)
	return conn, err
}

// The shim hands a question to the socket itself; what that does not take must follow.
func TestNativeClient_ATokenLargerThanASocketTakesAtOnceArrivesWhole(t *testing.T) {
	const limit = 16 << 20
	var large strings.Builder
	for n := 0; large.Len() < limit/4; n++ {
		fmt.Fprintf(&large, "%d.", n)
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		arrived := make(chan string, 2)
		verifier := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var question e2e.Question
			if r.URL.Path != "/v1/verify" {
				http.NotFound(w, r)
				return
			}
			if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
				t.Error(err)
			}
			arrived <- question.Token
			fmt.Fprint(w, `{"allow":false,"decision_id":"01JDEXAMPLE0000000000000A1","message":"Too large."}`)
		}))
		verifier.Listener = reluctant{verifier.Listener}
		verifier.Start()
		t.Cleanup(verifier.Close)
		s := e2e.Start(t, release, e2e.Setup{
			WithoutGate: true,
			Global:      fmt.Sprintf("c2s_stanza_size_limit = %d\nc2s_unauthed_stanza_size_limit = %[1]d\n", limit),
			Host:        fmt.Sprintf("usher_url = %q\nusher_timeout = 20\n", verifier.URL),
		})
		s.Lua(t, e2e.SecureTCP, nil)
		v := s.Connect(t, e2e.Who{Via: e2e.TCP})
		mechanisms(v)
		err := v.AuthenticateBy(e2e.Context(t), "OAUTHBEARER", "n,,\x01auth=Bearer "+large.String()+"\x01\x01")
		if err == nil || !strings.Contains(err.Error(), "Too large.") {
			t.Fatalf("the login ended with: %v", err)
		}
		if got := <-arrived; got != large.String() {
			t.Errorf("of a token of %d bytes %d arrived", large.Len(), len(got))
		}
	})
}

// What Prosody still holds of a question must not be overtaken by the next one, where an answer came before all was sent.
func TestNativeClient_AnAnswerThatComesTooEarlySpoilsNoLaterQuestion(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		verifier, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { verifier.Close() })
		go func() {
			for {
				conn, err := verifier.Accept()
				if err != nil {
					return
				}
				go answerAtOnce(t, conn)
			}
		}()
		s := e2e.Start(t, release, e2e.Setup{
			LogLevel:    "info", // else it writes each token down
			WithoutGate: true,
			Global:      "c2s_stanza_size_limit = 16777216\nc2s_unauthed_stanza_size_limit = 16777216\n",
			Host:        fmt.Sprintf("usher_url = \"http://%s\"\nusher_eject = false\n", verifier.Addr()),
		})
		s.Lua(t, e2e.SecureTCP, nil)
		for n := range 40 {
			size := 1000
			if n%8 == 0 {
				size = 4 << 20
			}
			v := s.Connect(t, e2e.Who{Via: e2e.TCP})
			mechanisms(v)
			err := v.AuthenticateBy(e2e.Context(t), "OAUTHBEARER", "n,,\x01auth=Bearer "+strings.Repeat("x", size)+"\x01\x01")
			if err == nil || !strings.Contains(err.Error(), "At once.") {
				t.Errorf("a login with %d bytes ended with: %v", size, err)
			}
		}
	})
}

// answerAtOnce refuses whatever is asked, with a connection kept, as soon as it has the head of the question.
func answerAtOnce(t *testing.T, conn net.Conn) {
	defer conn.Close()
	const body = `{"allow":false,"decision_id":"01JDEXAMPLE0000000000000A1","message":"At once."}`
	for in := bufio.NewReader(conn); ; {
		question, err := http.ReadRequest(in)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, net.ErrClosed) {
				t.Errorf("what came is no question: %v", err)
			}
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		for err == nil { // a little at a time, so that the socket takes a little at a time
			_, err = io.CopyN(io.Discard, question.Body, 64<<10)
			time.Sleep(time.Millisecond)
		}
	}
}
