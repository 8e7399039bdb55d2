package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/prosody"
)

// usherTimeout is the shim's default deadline for a question; slack is what an answer may take beyond it.
const (
	usherTimeout = 2 * time.Second
	slack        = 500 * time.Millisecond
)

// What came after what stands in Prosody's own log, on however busy a machine.
const (
	answered = "answer %d to who logs in or opens a room"
	late     = "one who has waited for long enough has no answer yet"
	ping     = "somebody pings"
)

// watchTheClock has Prosody write down each answer to a login or a first join, those that are late, and each ping of the host
// beside ours.
func watchTheClock(t *testing.T, s *e2e.Stack) {
	t.Helper()
	s.Lua(t, fmt.Sprintf(`local answers = 0;
		local watched = setmetatable({}, { __mode = "k" }); -- a judged join is handled twice
		local function watch(session, stanza)
			if watched[stanza or session] then return; end
			watched[stanza or session] = true;
			local waits, send = true, session.send;
			function session.send(...)
				if waits then answers = answers + 1; module:log("info", %q, answers); end
				waits = false;
				return send(...);
			end
			require "util.timer".add_task(%g, function () if waits then module:log("info", %q); end end);
		end
		prosody.events.add_handler("pre-jitsi-authentication-fetch-key", function (session) watch(session); end);
		module:context("conference." .. %q):hook("presence/full", function (event) watch(event.origin, event.stanza); end);
		module:context(%q):hook("iq-get/host/urn:xmpp:ping:ping", function () module:log("info", %q); end, 1);`,
		answered, (usherTimeout+slack).Seconds(), late, e2e.Domain, e2e.GuestDomain, ping), nil)
}

// mustBeInTime checks that n are answered, none of them late, and gives what was logged before the first.
func mustBeInTime(t *testing.T, s *e2e.Stack, n int) (before string) {
	t.Helper()
	if _, err := s.Prosody.WaitLine(e2e.Context(t), fmt.Sprintf(answered, n)); err != nil {
		t.Fatal(err)
	}
	log := s.Prosody.Log.String()
	if n := strings.Count(log, late); n > 0 {
		t.Errorf("%d were not answered within %s", n, usherTimeout+slack)
	}
	before, _, _ = strings.Cut(log, fmt.Sprintf(answered, 1))
	return before
}

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
		if err := s.Verifier.Freeze(e2e.Context(t)); err != nil {
			t.Fatal(err)
		}
		watchTheClock(t, s)
		mustAsk(t, alice, "daily", "alice")
		loginEnded := make(chan error, 1)
		go func() { loginEnded <- newcomer.Client.Login(e2e.Context(t)) }()

		const pings = 20 // as many as 100 ms each leave time for
		for range pings {
			if _, err := other.Ping(e2e.Context(t)); err != nil {
				t.Fatal(err)
			}
		}

		_, err := alice.Joined(e2e.Context(t), e2e.Room("daily"))
		var refused *client.StanzaError
		if !errors.As(err, &refused) {
			t.Fatalf("the join ended with: %v", err)
		}
		mustWait(t, refused)
		var login *client.LoginError
		if err := <-loginEnded; !errors.As(err, &login) || login.Condition != "temporary-auth-failure" {
			t.Errorf("the login ended with: %v", err)
		}
		if n := strings.Count(mustBeInTime(t, s, 2), ping); n != pings {
			t.Errorf("of %d pings %d were answered while the join and the login waited", pings, n)
		}

		if err := s.Verifier.Thaw(); err != nil {
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

// A file that is missing, or that Prosody may not read, is no way in: users of other hosts need none of ours to get to the room.
func TestFailure_AGateWhoseFilesAreMissingStaysShut(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		repo, err := proc.RepoRoot()
		if err != nil {
			t.Fatal(err)
		}
		for _, missing := range []string{"usher.lib.lua", "usher_http.lib.lua"} {
			modules := t.TempDir()
			if err := os.CopyFS(modules, os.DirFS(filepath.Join(repo, "lua"))); err != nil {
				t.Fatal(err)
			}
			s := &e2e.Stack{Prosody: e2e.StartProsody(t, prosody.Options{Release: release, Domain: e2e.Domain, PluginPaths: []string{modules},
				MUCModules: []string{"muc_usher"}})}
			guest := s.Login(t, e2e.Who{Domain: e2e.GuestDomain})
			if err := os.Remove(filepath.Join(modules, missing)); err != nil {
				t.Fatal(err)
			}
			s.Lua(t, `require "core.modulemanager".reload("conference.meet.example.com", "muc_usher");`, nil)
			_, err = guest.Join(e2e.Context(t), e2e.Room("daily"), "guest")
			var refused *client.StanzaError
			if !errors.As(err, &refused) {
				t.Errorf("without %s a join ended with: %v", missing, err)
				continue
			}
			mustWait(t, refused)
		}
	})
}
