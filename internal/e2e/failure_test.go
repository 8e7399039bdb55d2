package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
)

// usherTimeout is the shim's default deadline for a question; slack is what an answer may take beyond it.
const (
	usherTimeout = 2 * time.Second
	slack        = 500 * time.Millisecond
)

// mustWait checks that an error tells the client to try again, and does not judge its token.
func mustWait(t *testing.T, refused *client.StanzaError) {
	t.Helper()
	if refused.Type != "wait" || refused.Condition != "service-unavailable" {
		t.Errorf("without a verdict the join was answered with type %q, <%s/>; want wait, service-unavailable",
			refused.Type, refused.Condition)
	}
}

func TestFailure_AFrozenVerifierHoldsNobodyButThoseWhoAsk(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		s := e2e.Start(t, release, e2e.Setup{WithoutGate: true})
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, nil)})
		newcomer := s.Connect(t, e2e.Who{Token: e2e.Token(t, nil)})
		other := s.Login(t, e2e.Who{Domain: e2e.GuestDomain})
		if err := s.Verifier.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		mustAsk(t, alice, "daily", "alice")
		loginEnded := make(chan error, 1)
		go func() { loginEnded <- newcomer.Client.Login(e2e.Context(t)) }()

		took, err := other.Ping(e2e.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		if took > 100*time.Millisecond {
			t.Errorf("another user's ping took %s while a join waited", took)
		}
		if time.Since(start) > usherTimeout {
			t.Fatal("the ping was not answered while the join waited, so it shows nothing")
		}

		_, err = alice.Joined(e2e.Context(t), e2e.Room("daily"))
		answered := time.Since(start)
		var refused *client.StanzaError
		if !errors.As(err, &refused) {
			t.Fatalf("the join ended with: %v", err)
		}
		mustWait(t, refused)
		var login *client.LoginError
		if err := <-loginEnded; !errors.As(err, &login) || login.Condition != "temporary-auth-failure" {
			t.Errorf("the login ended with: %v", err)
		}
		both := time.Since(start)
		if both > usherTimeout+slack {
			t.Errorf("the join was answered after %s, the login within %s; want both within %s", answered, both, usherTimeout+slack)
		}
		t.Logf("ping %s, join %s, login within %s", took, answered, both)

		if err := s.Verifier.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		alice.MustJoin("daily", "alice")
	})
}

func TestFailure_AVerifierThatIsGoneIsToldAtOnceAndForgottenWhenItIsBack(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{WithoutGate: true})
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, nil)})
		if err := s.Verifier.Stop(); err != nil {
			t.Fatal(err)
		}
		if code := s.Verifier.ExitCode(); code != 0 {
			t.Errorf("usher serve ended with exit code %d on SIGTERM, want 0", code)
		}
		mustWait(t, alice.MustBeRefused("daily", "alice"))
		for _, via := range browserTransports {
			refused := s.MustRefuseLogin(t, e2e.Who{Via: via, Token: e2e.Token(t, nil)})
			if refused.Condition != "temporary-auth-failure" {
				t.Errorf("by %s a login without a verifier was refused with <%s/>", via, refused.Condition)
			}
		}
		if err := s.Verifier.Restart(e2e.Context(t)); err != nil {
			t.Fatal(err)
		}
		// The new process does not know alice's grant, and gets her token.
		alice.MustJoin("daily", "alice")
		s.Login(t, e2e.Who{Token: e2e.Token(t, nil)}).MustJoin("daily", "bob")
	})
}

func TestFailure_WhatIsNoAnswerLetsNobodyIn(t *testing.T) {
	write := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	raw := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}
	const allow = `{"allow":true,"decision_id":"01JDCQ8Z6H0000000000000000"}`
	answers := map[string]http.HandlerFunc{
		"a web page":              write(200, "<html>It works!</html>"),
		"nothing":                 write(200, ""),
		"null":                    write(200, "null"),
		"allow as a word":         write(200, `{"allow":"true","decision_id":"01JDCQ8Z6H0000000000000000"}`),
		"allow without an id":     write(200, `{"allow":true}`),
		"an allow that fails":     write(500, allow),
		"a moved allow":           write(301, allow),
		"a malformed question":    write(400, `{"type":"about:blank"}`),
		"a credential wanted":     write(401, `{"type":"about:blank"}`),
		"features as a list":      write(200, `{"allow":true,"decision_id":"01JDCQ8Z6H0000000000000000","affiliation":[]}`),
		"half a body":             raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + allow),
		"more than the body":      raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + allow),
		"a body in chunks":        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3c\r\n" + allow + "\r\n0\r\n\r\n"),
		"another protocol":        raw("220 mail.example.com ESMTP\r\n"),
		"a broken connection":     raw(""),
		"no length":               raw("HTTP/1.1 200 OK\r\n\r\n" + allow),
		"two different lengths":   raw("HTTP/1.1 200 OK\r\nContent-Length: 60\r\nContent-Length: 5\r\n\r\n" + allow),
		"need again and again":    write(200, `{"need":"token"}`),
		"control characters":      write(200, `{"allow":false,"decision_id":"a\u0000b","message":"x\u0007","condition":"not-allowed"}`),
		"an endless head":         raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)),
		"a huge body":             write(200, `{"allow":true,"x":"`+strings.Repeat("x", 4<<20)+`"}`),
		"an endless nest of JSON": write(200, strings.Repeat("[", 100_000)),
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		alice := s.Login(t, e2e.Who{Token: e2e.Token(t, nil)})
		for name, answer := range answers {
			s.Gate.AnswerInstead(answer)
			t.Run(name, func(t *testing.T) {
				mustWait(t, alice.MustBeRefused("daily", "alice"))
				if refused := s.MustRefuseLogin(t, e2e.Who{Token: e2e.Token(t, nil)}); refused.Condition != "temporary-auth-failure" {
					t.Errorf("the login was refused with <%s/>", refused.Condition)
				}
			})
		}
		s.Gate.AnswerInstead(nil)
		alice.MustJoin("daily", "alice")
	})
}

func TestFailure_AThousandLoginsAtOnceAreEachAnsweredInTime(t *testing.T) {
	const logins = 1000
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		for _, frozen := range []bool{false, true} {
			t.Run(map[bool]string{false: "a slow verifier", true: "a frozen verifier"}[frozen], func(t *testing.T) {
				s := e2e.Start(t, release, e2e.Setup{LogLevel: "info"})
				crowd := make([]*e2e.Visitor, logins)
				var wg sync.WaitGroup
				places := make(chan struct{}, 32)
				for i := range crowd {
					places <- struct{}{}
					wg.Go(func() {
						crowd[i] = s.Connect(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"jti": fmt.Sprint(i)})})
						<-places
					})
				}
				wg.Wait()
				other := s.Login(t, e2e.Who{Domain: e2e.GuestDomain})

				s.Gate.Hold()
				var allowed, told, late, wrong tally
				for _, v := range crowd {
					wg.Go(func() {
						start := time.Now()
						err := v.Authenticate(e2e.Context(t))
						// More slack: a thousand clients, the gate and Prosody share this machine's CPU.
						if took := time.Since(start); took > usherTimeout+2*slack {
							late.add(took.String())
						}
						var refused *client.LoginError
						switch {
						case err == nil:
							allowed.add("")
						case errors.As(err, &refused) && refused.Condition == "temporary-auth-failure":
							told.add("")
						default:
							wrong.add(err.Error())
						}
					})
				}
				mustArrive(t, s, "connect", 20)
				took, err := other.Ping(e2e.Context(t))
				if err != nil {
					t.Fatal(err)
				}
				if !frozen {
					s.Gate.Release()
				}
				wg.Wait()
				if wrong.n > 0 || late.n > 0 || allowed.n+told.n != logins || frozen && allowed.n > 0 {
					t.Errorf("%d allowed, %d told to wait, %d late (%s), %d otherwise (%s)",
						allowed.n, told.n, late.n, late.last, wrong.n, wrong.last)
				}
				t.Logf("%d allowed, %d told to wait; a ping meanwhile took %s", allowed.n, told.n, took)
				s.Gate.Release()
				s.Login(t, e2e.Who{Token: e2e.Token(t, nil)}).MustJoin("daily", "after")
			})
		}
	})
}

// tally counts, and keeps the last remark.
type tally struct {
	mu   sync.Mutex
	n    int
	last string
}

func (c *tally) add(remark string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n, c.last = c.n+1, remark
}

func TestFailure_NoTokenAppearsInAnyLog(t *testing.T) {
	raws := []string{
		e2e.Token(t, nil),
		e2e.Token(t, e2e.Claims{"exp": seconds(-time.Hour)}),
		e2e.Token(t, e2e.Claims{"aud": "other"}),
		e2e.Token(t, e2e.Claims{"room": "daily"}) + "x",
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Verifier: "log: {level: debug}"})
		for _, via := range browserTransports {
			for _, raw := range raws {
				v := s.Connect(t, e2e.Who{Via: via, Token: raw})
				if err := v.Client.Login(e2e.Context(t)); err == nil {
					v.MustJoin("daily", string(via))
				}
			}
		}
		for name, log := range map[string]string{"Prosody": s.Prosody.Log.String(), "usher": s.Verifier.Log.String()} {
			for i, raw := range raws {
				signature := raw[strings.LastIndex(raw, ".")+1:]
				if bytes.Contains([]byte(log), []byte(signature)) {
					t.Errorf("%s logged token %d", name, i)
				}
			}
			if strings.Contains(log, e2e.Secret) {
				t.Errorf("%s logged the secret", name)
			}
		}
	})
}
