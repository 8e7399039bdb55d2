package server_test

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/credential"
)

func TestRoute_AnotherMethodIsToldApartFromAnotherPath(t *testing.T) {
	n := start(t, base)
	verify, admin := n.server.VerifyAddress(), n.server.AdminAddress()
	for _, c := range []struct {
		method, address, path, kind, allow string
		status                             int
	}{
		{"GET", verify, "/v1/verify", "method-not-allowed", "POST", 405},
		{"POST", admin, "/metrics", "method-not-allowed", "GET, HEAD", 405},
		{"PUT", admin, "/v1/revocations/1", "method-not-allowed", "GET, HEAD, DELETE", 405},
		{"FOO", verify, "/v1/verify", "method-not-allowed", "POST", 405},
		{"FOO", admin, "/v1/revocations", "method-not-allowed", "GET, HEAD, POST", 405},
		{"FOO", admin, "/nowhere", "not-found", "", 404},
		{"GET", verify, "/metrics", "not-found", "", 404},
		{"GET", admin, "/v1/verify", "not-found", "", 404},
	} {
		r := n.do(c.method, c.address, c.path, "")
		if r.status != c.status || r.body["type"] != "urn:usher:problem:"+c.kind || r.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q, %s", c.method, c.path, r.status, r.header.Get("Allow"), r.raw)
		}
	}
}

func TestRoute_AHeaderThatIsTooLongIsToldWhatToDo(t *testing.T) {
	n := start(t, base)
	long := strings.Repeat("x", 5000)
	// Written at once: who writes on while the rest is not taken may find the connection closed before the answer is read.
	for path, headers := range map[string]string{"/v1/revocations?value=" + long: "", "/v1/revocations": "X-Long: " + long + "\r\n"} {
		if status, body := promise(t, n.server.AdminAddress(), path, headers); status != 431 || !strings.Contains(body, "more than 4096 bytes together: send less") {
			t.Errorf("%.30s: %d %s", path, status, body)
		}
	}
}

// TestRoute_HeadIsAnsweredAsGetWithoutItsBody asks for both on one connection: a body would be where the second answer begins.
func TestRoute_HeadIsAnsweredAsGetWithoutItsBody(t *testing.T) {
	n, l := start(t, base), openLibrary(t, credential.Audit)
	audit, err := n.who.Create("auditor", credential.Audit, time.Now())
	must(t, err)
	for _, c := range []struct {
		address, secret, path string
		status                int
	}{
		{n.server.VerifyAddress(), "", "/healthz", 200},
		{n.server.VerifyAddress(), "", "/readyz", 200},
		{n.server.VerifyAddress(), "", "/v1/feed", 200},
		{n.server.AdminAddress(), "", "/healthz", 200},
		{n.server.AdminAddress(), "", "/metrics", 401},
		{n.server.AdminAddress(), audit, "/metrics", 200},
		{n.server.AdminAddress(), audit, "/", 200},
		{n.server.AdminAddress(), audit, "/v1/openapi.json", 200},
		{n.server.AdminAddress(), audit, "/v1/revocations/none", 404},
		{l.server.AdminAddress(), l.secret, "/v1/decisions", 200},
		{l.server.AdminAddress(), l.secret, "/v1/decisions/stream", 200},
	} {
		get, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+c.address+c.path, nil)
		get.Header.Set("Authorization", "Bearer "+c.secret)
		conn, err := net.Dial("tcp", c.address)
		must(t, err)
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		head := get.Clone(t.Context())
		head.Method = "HEAD"
		must(t, head.Write(conn))
		must(t, get.Write(conn))
		answers := bufio.NewReader(conn)
		short, err := http.ReadResponse(answers, head)
		must(t, err)
		long, err := http.ReadResponse(answers, get)
		if err != nil {
			t.Errorf("%s: what follows HEAD's header is no answer: %v", c.path, err)
			continue
		}
		for _, h := range []http.Header{short.Header, long.Header} {
			h.Del("Date")
		}
		if c.path == "/metrics" && c.status == 200 { // which counts these two
			short.ContentLength, long.ContentLength = 0, 0
			short.Header.Del("Content-Length")
			long.Header.Del("Content-Length")
		}
		if short.StatusCode != c.status || long.StatusCode != c.status || !maps.EqualFunc(short.Header, long.Header, slices.Equal) ||
			short.ContentLength != long.ContentLength || !slices.Equal(short.TransferEncoding, long.TransferEncoding) {
			t.Errorf("%s: HEAD %d %v, GET %d %v", c.path, short.StatusCode, short.Header, long.StatusCode, long.Header)
		}
	}
}
