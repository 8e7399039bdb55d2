package keys

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// keyServer is a key server that a test scripts, on loopback.
type keyServer struct {
	*httptest.Server
	mu    sync.Mutex
	says  http.HandlerFunc
	asked []visit
}

// visit is one question to a key server.
type visit struct {
	at   time.Time
	path string
	etag string // that was offered
}

func newKeyServer(t *testing.T, says http.HandlerFunc) *keyServer {
	t.Helper()
	s := &keyServer{says: says}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	says := s.says
	s.asked = append(s.asked, visit{at: time.Now(), path: r.URL.Path, etag: r.Header.Get("If-None-Match")})
	s.mu.Unlock()
	says(w, r)
}

// say changes what the server answers from now on.
func (s *keyServer) say(says http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says = says
}

func (s *keyServer) visits() []visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]visit(nil), s.asked...)
}

// answer gives body; headers are pairs of name and value.
func answer(body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		_, _ = w.Write([]byte(body))
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hang answers nothing until the client has gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// quick is the usual pace in a hurry, so that what takes minutes takes moments.
func quick() pace {
	p := usual
	p.floor, p.minute, p.absentFor = 20*time.Millisecond, 240*time.Millisecond, 240*time.Millisecond
	p.minFresh, p.usualFresh, p.maxFresh = 20*time.Millisecond, 40*time.Millisecond, time.Second
	p.backoffMax = 50 * time.Millisecond
	return p
}
