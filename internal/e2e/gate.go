package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// Question is one question of the shim, as it passed the gate.
type Question struct {
	ID, Token, Grant, Stage, Host, Profile, Room, Session string
	Body                                                  []byte `json:"-"`
}

// Gate stands between Prosody and the verifier. It lets everything through, until a test holds the questions back
// or answers them itself.
type Gate struct {
	// URL is what Prosody asks.
	URL string

	mu        sync.Mutex
	questions []Question
	closed    chan struct{} // nil: open; else closed by Release
	instead   http.HandlerFunc
	late      string // the stage whose answers are held back
	changed   chan struct{}

	following sync.Once
	followed  chan struct{} // closed when the feed's first line has gone through
}

func newGate(t testing.TB, target string) *Gate {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{changed: make(chan struct{}), followed: make(chan struct{})}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1, // the feed is a stream of lines
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			// What a dead verifier looks like from outside: the connection breaks without an answer.
			panic(http.ErrAbortHandler)
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/verify" {
			g.pass(w, r, proxy.ServeHTTP)
			return
		}
		if r.URL.Path == "/v1/feed" {
			w = feedWriter{w, func() { g.following.Do(func() { close(g.followed) }) }}
		}
		proxy.ServeHTTP(w, r)
	}))
	g.URL = server.URL
	t.Cleanup(func() {
		g.Release()
		// Prosody keeps its connections and the feed open; it is stopped before this, so nothing waits for them.
		server.CloseClientConnections()
		server.Close()
	})
	return g
}

// feedWriter says when it has written a line, and that line is on its way.
type feedWriter struct {
	http.ResponseWriter
	written func()
}

func (w feedWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a broken connection shows at the next write
	w.written()
	return n, err
}

func (w feedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (g *Gate) pass(w http.ResponseWriter, r *http.Request, verifier http.HandlerFunc) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	q := Question{Body: body}
	_ = json.Unmarshal(body, &q) // what is no JSON stands in Body alone
	g.mu.Lock()
	g.questions = append(g.questions, q)
	held, instead := g.closed, g.instead
	switch g.late {
	case "":
	case q.Stage:
		verifier = afterwards(held, verifier)
		fallthrough
	default:
		held = nil
	}
	g.wake()
	g.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-r.Context().Done():
			return
		}
	}
	if instead != nil {
		instead(w, r)
		return
	}
	verifier(w, r)
}

// Hold lets questions wait from now on, as a slow verifier does.
func (g *Gate) Hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == nil {
		g.closed = make(chan struct{})
	}
}

// HoldAnswers lets questions through from now on, and keeps the answers to those of one stage until Release: they are
// judged by what was true when they came.
func (g *Gate) HoldAnswers(stage string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.late = stage
	if g.closed == nil {
		g.closed = make(chan struct{})
	}
}

func afterwards(told <-chan struct{}, verifier http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kept := httptest.NewRecorder()
		verifier(kept, r)
		select {
		case <-told:
		case <-r.Context().Done():
			return
		}
		maps.Copy(w.Header(), kept.Header())
		w.WriteHeader(kept.Code)
		_, _ = w.Write(kept.Body.Bytes())
	}
}

// Release lets the waiting questions, and later ones, through.
func (g *Gate) Release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.late = ""
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
}

// AnswerInstead answers later questions in the verifier's place; nil gives them back to it.
func (g *Gate) AnswerInstead(answer http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.instead = answer
}

// Questions are all that have come so far.
func (g *Gate) Questions() []Question {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Question(nil), g.questions...)
}

// Arrived waits until at least n questions of a stage have come, and returns them. It counts from the gate's start.
func (g *Gate) Arrived(ctx context.Context, stage string, n int) ([]Question, error) {
	for {
		g.mu.Lock()
		var found []Question
		for _, q := range g.questions {
			if q.Stage == stage {
				found = append(found, q)
			}
		}
		changed := g.changed
		g.mu.Unlock()
		if len(found) >= n {
			return found, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return found, ctx.Err()
		}
	}
}

func (g *Gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}
