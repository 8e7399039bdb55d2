package keys

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"go.uber.org/goleak"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secretA = "secret-a-secret-a-secret-a-secret-a"
	secretB = "secret-b-secret-b-secret-b-secret-b"
)

var oneRSA = sync.OnceValue(func() *rsa.PublicKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	return &k.PublicKey
})

func newEC(curve elliptic.Curve) *ecdsa.PublicKey {
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	must(err)
	return &k.PublicKey
}

func newEd25519() ed25519.PublicKey {
	k, _, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func publicPEM(public any) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	must(err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// member is one key of a set; fields are pairs of name and value.
func member(public any, fields ...string) json.RawMessage {
	k, err := jwk.FromRaw(public)
	must(err)
	for i := 0; i < len(fields); i += 2 {
		must(k.Set(fields[i], fields[i+1]))
	}
	text, err := json.Marshal(k)
	must(err)
	return text
}

func jwks(keys ...json.RawMessage) string {
	text, err := json.Marshal(map[string]any{"keys": keys})
	must(err)
	return string(text)
}

// write puts content in place as editors do: under another name first.
func write(t *testing.T, path, content string) string {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func fileWith(t *testing.T, content string) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), "keys"), content)
}

// news is a logger that a test can wait on.
type news struct {
	slog.Handler
	lines chan string
}

func newNews() *news { return &news{Handler: slog.DiscardHandler, lines: make(chan string, 1000)} }

func (n *news) Enabled(context.Context, slog.Level) bool { return true }

func (n *news) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	err := slog.NewTextHandler(&b, nil).Handle(context.Background(), r)
	n.lines <- b.String()
	return err
}

func (n *news) WithAttrs([]slog.Attr) slog.Handler { return n }
func (n *news) WithGroup(string) slog.Handler      { return n }

// wait returns the next line that has text in it.
func (n *news) wait(t *testing.T, text string) string {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case line := <-n.lines:
			if strings.Contains(line, text) {
				return line
			}
		case <-late:
			t.Fatalf("nothing was logged with %q", text)
		}
	}
}

// openRing opens sources at pace p and closes them when the test ends.
func openRing(t *testing.T, p pace, log *news, sources ...config.KeySource) *Ring {
	t.Helper()
	opt := Options{}
	if log != nil {
		opt.Logger = slog.New(log)
	}
	r, err := open(t.Context(), sources, opt, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func ring(t *testing.T, sources ...config.KeySource) *Ring {
	t.Helper()
	return openRing(t, usual, nil, sources...)
}

// nobody is whose tokens those are of which it does not matter.
var nobody netip.Prefix

// find asks for kid ("-": the token names none) and gives the ID of the key, or the reason why there is none.
func find(t *testing.T, r *Ring, kid string, alg token.Algorithm) (id string, detail string) {
	t.Helper()
	return findAt(t.Context(), r, kid, alg, time.Now())
}

func findAt(ctx context.Context, r *Ring, kid string, alg token.Algorithm, now time.Time) (id string, detail string) {
	named := kid != "-"
	if !named {
		kid = ""
	}
	k, p := r.Find(ctx, kid, named, alg, now, nobody)
	switch {
	case p != nil && k != nil:
		return "both a key and a problem", p.Detail
	case p != nil:
		return string(p.Code), p.Detail
	case alg.Fits(k.Material) != nil:
		return "a key that does not fit", ""
	}
	return k.ID, ""
}

// expect is find with what must come of it.
func expect(t *testing.T, r *Ring, kid string, alg token.Algorithm, want string) {
	t.Helper()
	if got, detail := find(t, r, kid, alg); got != want {
		t.Errorf("kid %s with %s: got %s (%s), want %s", kid, alg, got, detail, want)
	}
}

// until asks again until a background fetch has made it so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	late := time.Now().Add(10 * time.Second)
	for !so() {
		if time.Now().After(late) {
			t.Fatalf("never came to pass: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func errorsOf(r *Ring) string {
	var all []string
	for _, i := range r.List() {
		if i.LastError != "" {
			all = append(all, i.LastError)
		}
	}
	return strings.Join(all, "\n")
}

var (
	notFoundCode    = string(reason.KeyNotFound)
	unavailableCode = string(reason.KeyUnavailable)
	notAllowedCode  = string(reason.AlgorithmNotAllowed)
)
