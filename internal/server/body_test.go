package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// promise sends a request's header alone, which promises a body, and gives the answer that comes all the same.
func promise(t *testing.T, address, path, headers string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, headers)
	must(t, err)
	must(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	must(t, err)
	return r.StatusCode, string(b)
}

// fasthttp sets memory aside for what a header promises.
func TestBody_ALongOneIsReadOnlyForWhoIsKnown(t *testing.T) {
	n := start(t, base)
	known, err := n.who.Create("known", credential.Revoke, time.Now())
	must(t, err)
	const mine, guessed = "Authorization: Bearer %s\r\n", "Authorization: Bearer usher_guessed\r\n"
	admin, verify := n.server.AdminAddress(), n.server.VerifyAddress()
	for name, c := range map[string]struct {
		address, path, headers string
		want                   int
	}{
		"verify, long":                 {verify, "/v1/verify", "Content-Length: 8388608\r\n", 413},
		"verify, no route":             {verify, "/nowhere", "Content-Length: 1048576\r\n", 413},
		"admin, no credential":         {admin, "/v1/revocations", "Content-Length: 65537\r\n", 401},
		"admin, a wrong one":           {admin, "/v1/revocations", "Content-Length: 65537\r\n" + guessed, 401},
		"admin, longer, known":         {admin, "/v1/revocations", "Content-Length: 4194305\r\n" + fmt.Sprintf(mine, known), 413},
		"admin, in chunks":             {admin, "/v1/revocations", "Transfer-Encoding: chunked\r\n\r\n10001\r\n", 413},
		"admin, a known one, no route": {admin, "/nowhere", "Content-Length: 4194305\r\n" + fmt.Sprintf(mine, known), 413},
	} {
		status, body := promise(t, c.address, c.path, c.headers)
		if status != c.want {
			t.Errorf("%s: %d %s, want %d", name, status, body, c.want)
		}
		if name == "admin, in chunks" && !strings.Contains(body, "where the credential is not known") {
			t.Errorf("%s: %s", name, body)
		}
	}
	if e := n.audit.all(); len(e) != 1 || e[0].Detail != "wrong credential for a body of 65537 bytes" {
		t.Errorf("guesses are audited: %+v", e)
	}
}

// A proxy that reads the same bytes otherwise would hand on as somebody else's request what one caller has hidden in a body.
func TestBody_OneWhoseEndTwoMaySeeInTwoPlacesIsRefused(t *testing.T) {
	n := start(t, base)
	const hidden = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	chunks := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	for name, c := range map[string]struct {
		version, headers, body string
		refused                bool
	}{
		"one length":               {"1.1", "Content-Length: 2\r\n", "{}", false},
		"chunks":                   {"1.1", "transfer-encoding: Chunked\r\n", chunks("{}"), false},
		"neither":                  {"1.1", "", "", false},
		"two lengths, the longer":  {"1.1", fmt.Sprintf("Content-Length: 2\r\ncontent-length: %d\r\n", 2+len(hidden)), "{}" + hidden, true},
		"two lengths, the shorter": {"1.1", fmt.Sprintf("Content-Length: %d\r\nContent-Length: 2\r\n", 2+len(hidden)), "{}" + hidden, true},
		"a length and chunks":      {"1.1", "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", chunks("{}") + hidden, true},
		"chunks and a length":      {"1.1", "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", chunks("{}") + hidden, true},
		"another coding":           {"1.1", "Transfer-Encoding: gzip\r\n", chunks("{}") + hidden, true},
		"a sign before chunks":     {"1.1", "Transfer-Encoding: \x0bchunked\r\n", chunks("{}") + hidden, true},
		"no coding":                {"1.1", "Content-Length: 2\r\nTransfer-Encoding: identity\r\n", "{}" + hidden, true},
		"a length behind a CR":     {"1.1", fmt.Sprintf("Content-Length: %d\r\nX: x\rContent-Length: 2\r\n", 2+len(hidden)), "{}" + hidden, true},
		"chunks behind a CR":       {"1.1", "X: x\rTransfer-Encoding: chunked\r\n", chunks("{}") + hidden, true},
		"a CR in the first line":   {fmt.Sprintf("1.1\rContent-Length:%d", len(hidden)), "Connection: keep-alive\r\n", hidden, true},
		"a blank after that CR":    {fmt.Sprintf("1.1\rContent-Length: %d", len(hidden)), "Connection: keep-alive\r\n", hidden, true},
		"chunks before HTTP/1.1":   {"1.0", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", chunks("{}") + hidden, true},
	} {
		conn, err := net.Dial("tcp", n.server.AdminAddress())
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = fmt.Fprintf(conn, "POST /v1/explain HTTP/%s\r\nHost: localhost\r\n%s\r\n%s", c.version, c.headers, c.body)
		must(t, err)
		must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		if !c.refused {
			r, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			r.Body.Close()
			if r.StatusCode != 401 || r.Close {
				t.Errorf("%s: %s, closed %v", name, r.Status, r.Close)
			}
			continue
		}
		// All that comes, up to the end: what was hidden must have no answer.
		all, err := io.ReadAll(conn)
		must(t, err)
		if !strings.HasPrefix(string(all), "HTTP/1.1 400 ") || strings.Count(string(all), "HTTP/1.1 ") != 1 || !strings.Contains(string(all), map[bool]string{true: "a CR", false: "more than one way"}[strings.Contains(name, "CR")]) {
			t.Errorf("%s: %s", name, all)
		}
	}
}

func TestBody_ALongOneOfSomebodyKnownIsTaken(t *testing.T) {
	n := start(t, base)
	long := `{"selector":"room","value":"daily"` + strings.Repeat(" ", 1<<20) + "}"
	if r := n.as(credential.Revoke, "POST", "/v1/revocations", long); r.status != 201 {
		t.Errorf("%+v", r)
	}
	chunked := func(r *http.Request) { r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader(long)) }
	if r := n.as(credential.Revoke, "POST", "/v1/revocations", long, chunked); r.status != 200 {
		t.Errorf("in chunks: %+v", r)
	}
}

func TestBody_HoldsTheLongestTokenThatTheConfigTakes(t *testing.T) {
	n := start(t, base+"limits: {max_token_size: 256KiB}\n")
	long := func(size int) string {
		raw, err := mint.Token(mint.Spec{Alg: token.HS256, Key: secret, Claims: map[string]any{
			"iss": "my-app", "aud": "jitsi", "sub": "meet.example.com", "exp": time.Now().Add(time.Hour).Unix(), "pad": strings.Repeat("x", size/4*3),
		}})
		must(t, err)
		return raw
	}
	if r := n.verify(question(t, map[string]any{"token": long(250 << 10)})); r.body["allow"] != true {
		t.Errorf("verify: %d %s", r.status, r.raw)
	}
	if r := n.verify(question(t, map[string]any{"id": "2", "token": long(257 << 10)})); r.body["reason"] != "token_too_large" {
		t.Errorf("verify, too long: %d %s", r.status, r.raw)
	}
	asked, err := json.Marshal(map[string]string{"token": long(250 << 10), "host": "meet.example.com"})
	must(t, err)
	if r := n.as(credential.Audit, "POST", "/v1/explain", string(asked)); r.body["allow"] != true {
		t.Errorf("explain: %d %s", r.status, r.raw)
	}
	body, asForm := form("token", long(250<<10))
	if r := n.as(credential.Verify, "POST", "/oauth/introspect", body, asForm); r.body["active"] != true {
		t.Errorf("introspect: %d %s", r.status, r.raw)
	}
}

func TestBody_AReloadThatNeedsARestartForLongerQuestionsSaysSo(t *testing.T) {
	n := start(t, base)
	for size, says := range map[string]bool{"48KiB": false, "256KiB": true} {
		cfg, _, err := config.Parse("usher.yaml", []byte(base+"limits: {max_token_size: "+size+"}\n"), nil)
		must(t, err)
		n.server.SetRules(cfg, n.rules)
		if said := strings.Contains(n.log.String(), "until a restart\" max_token_size="+size); said != says {
			t.Errorf("%s: the log says %q", size, n.log)
		}
	}
}
