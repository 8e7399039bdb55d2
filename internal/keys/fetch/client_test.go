package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask has a client fetch path from a server that answers with h, with time enough on any machine.
func ask(t *testing.T, h http.HandlerFunc, etag string) (Answer, error) {
	t.Helper()
	return askWithin(t, 10*time.Second, h, etag)
}

func askWithin(t *testing.T, patience time.Duration, h http.HandlerFunc, etag string) (Answer, error) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL + "/keys?token=hunter2")
	if err != nil {
		t.Fatal(err)
	}
	return New(patience).Get(t.Context(), u, etag)
}

func TestGet_GivesBodyETagAndFreshness(t *testing.T) {
	a, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" || r.URL.RawQuery != "token=hunter2" {
			t.Errorf("asked with %v, %s", r.Header, r.URL)
		}
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write([]byte("keys"))
	}, "")
	if err != nil || string(a.Body) != "keys" || a.ETag != `"1"` || a.Fresh != time.Minute || !a.Said || a.NotModified {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestGet_AsksWhetherWhatItHasStillHolds(t *testing.T) {
	a, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != `"1"` {
			t.Errorf("asked with %v", r.Header)
		}
		w.WriteHeader(http.StatusNotModified)
	}, `"1"`)
	if err != nil || !a.NotModified {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestGet_BoundsTimeAndSize(t *testing.T) {
	megabyte := bytes.Repeat([]byte("a"), MaxBody)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 50 {
		_, _ = z.Write(megabyte)
	}
	z.Close()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"hangs before the header": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "within 200ms"},
		"hangs in the body": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[`))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "within 200ms"},
		"drips": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				w.(http.Flusher).Flush()
				select {
				case <-time.After(5 * time.Millisecond):
				case <-r.Context().Done():
				}
			}
		}, "within 200ms"},
		"sends 10 MB": {func(w http.ResponseWriter, _ *http.Request) {
			for range 10 {
				_, _ = w.Write(megabyte)
			}
		}, "larger than 1024 KiB"},
		"sends 50 MB in 50 KB": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, "larger than 1024 KiB"},
		"endless header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 100<<10))
		}, "header"},
		"breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("x"))
		}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			patience := 10 * time.Second
			if strings.HasPrefix(c.want, "within ") {
				patience = 200 * time.Millisecond
			}
			a, err := askWithin(t, patience, c.answer, "")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %d bytes, %v", len(a.Body), err)
			}
		})
	}
}

func TestGet_TellsNoSuchKeyFromNoAnswer(t *testing.T) {
	for status, absent := range map[int]bool{404: true, 410: true, 400: false, 401: false, 403: false, 429: false, 500: false, 503: false, 204: false, 304: false} {
		_, err := ask(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, "")
		if err == nil || errors.Is(err, ErrNotFound) != absent {
			t.Errorf("%d: got %v", status, err)
		}
	}
}

func TestGet_FollowsRedirectsOnItsHostOnly(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other host was asked") }))
	defer other.Close()
	hops := func(to func(path string) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if next := to(r.URL.Path); next != "" {
				http.Redirect(w, r, next, http.StatusFound)
				return
			}
			_, _ = w.Write([]byte("keys"))
		}
	}
	for name, c := range map[string]struct {
		to   func(string) string
		want string // in the error; empty: it is followed
	}{
		"to another path": {func(p string) string { return map[string]string{"/keys": "/v2"}[p] }, ""},
		"to another host": {func(string) string { return other.URL + "/keys?hunter2" }, "redirects to " + other.URL},
		"there in two":    {func(p string) string { return map[string]string{"/keys": "/v2", "/v2": other.URL}[p] }, "another host"},
		"to a file":       {func(string) string { return "file:///etc/passwd" }, "another host"},
		"in a circle":     {func(p string) string { return p + "x" }, "circle"},
		"to no place":     {func(string) string { return "http://[?hunter2" }, "cannot be read as a URL"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := ask(t, hops(c.to), "")
			switch {
			case c.want == "":
				if err != nil || string(a.Body) != "keys" {
					t.Errorf("got %v", err)
				}
			case err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2"):
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRedirect_AWrittenOutPortIsNoOtherHostAndPlainHTTPIsSaid(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"https://idp.example.com/jwks", "https://idp.example.com:443/v2/jwks", ""},
		{"https://idp.example.com:443/jwks", "https://IDP.example.com/v2/jwks", ""},
		{"http://[::1]/jwks", "https://[::1]:443/jwks", ""},
		{"https://idp.example.com/jwks", "https://idp.example.com:8443/jwks", "another host"},
		{"https://idp.example.com/jwks", "https://idp.example.com.evil.example/jwks", "another host"},
		{"http://127.0.0.1:8080/jwks", "http://127.0.0.1/jwks", "another host"},
		{"https://idp.example.com/jwks", "http://idp.example.com/jwks", "plain http"},
		{"https://idp.example.com/jwks", "http://idp.example.com:443/jwks", "another host"},
		{"https://idp.example.com/jwks", "file://idp.example.com/jwks", "another"},
	} {
		from, _ := http.NewRequest(http.MethodGet, c.from, nil)
		to, _ := http.NewRequest(http.MethodGet, c.to, nil)
		switch err := sameHost(to, []*http.Request{from}); {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("from %s to %s: %v", c.from, c.to, err)
		}
	}
}

func TestGet_AServerThatIsDownIsAnErrorWithoutItsURL(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	u, _ := url.Parse(server.URL + "/?hunter2")
	if _, err := New(time.Second).Get(t.Context(), u, ""); err == nil || errors.Is(err, ErrNotFound) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

// Who logs an error once for as long as it stays the same would log it at each try, were the port on this side part of it.
func TestGet_TheSameFailureHasTheSameWords(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset
		_ = conn.Close()
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, first := New(time.Second).Get(t.Context(), u, "")
	_, second := New(time.Second).Get(t.Context(), u, "")
	if first == nil || second == nil || first.Error() != second.Error() {
		t.Errorf("got %v, then %v", first, second)
	}
	lookup := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
		Err: "read udp 10.0.0.1:51234->10.0.0.53:53: i/o timeout", Name: "idp.example.com", Server: "10.0.0.53:53"}}
	if got := New(time.Second).plain(t.Context(), lookup).Error(); got != "lookup idp.example.com on 10.0.0.53:53: i/o timeout" {
		t.Errorf("got %s", got)
	}
}

func TestGet_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	u, _ := url.Parse(server.URL)
	if _, err := New(time.Minute).Get(ctx, u, ""); err == nil {
		t.Error("got an answer")
	}
}

func TestFile_ReadsWithinTheSameBounds(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if b, err := File(write("fits", MaxBody)); err != nil || len(b) != MaxBody {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
	if _, err := File(write("large", MaxBody+1)); err == nil {
		t.Error("a large file was read")
	}
	if _, err := File(dir); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a folder: %v", err)
	}
	c := New(time.Second)
	if _, err := c.Get(t.Context(), &url.URL{Scheme: "file", Path: filepath.Join(dir, "none")}, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("no file: %v", err)
	}
}
