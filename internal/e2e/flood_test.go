package e2e_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

var strangeKids = flag.Int("strange-kids", 100_000, "how many tokens with a kid of their own TestFlood shows in a minute")

// floodRate is that of 100,000 in a minute.
const (
	floodRate  = 100_000.0 / 60
	floodSides = 16
)

// TestFlood_OfUnknownKidsCostsTheKeyServerAndTheNodeNextToNothing shows a whole node that is in use tokens that each have a
// kid of their own: every one must be looked for, and nobody may pay for it.
func TestFlood_OfUnknownKidsCostsTheKeyServerAndTheNodeNextToNothing(t *testing.T) {
	private, public := mint.SharedKey(token.EdDSA)
	set := fmt.Appendf(nil, `{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "known", "x": %q}]}`,
		base64.RawURLEncoding.EncodeToString(public.(ed25519.PublicKey)))
	var fetches atomic.Int64
	house := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(set)
	}))
	defer house.Close()
	v := startNode(t, fmt.Sprintf(`profiles:
  default:
    domain: meet.example.com
    issuers:
      - {iss: my-app, audiences: [jitsi], subjects: ["*"], allow_http: true, keys: [{jwks_url: %q}]}
`, house.URL))
	good := e2e.SignedToken(t, mint.Spec{Alg: token.EdDSA, Key: private, Kid: "known"}, nil)
	flood := &flood{t: t, v: v, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: floodSides}}, good: good, strange: e2e.SignedToken(t, mint.Spec{Alg: token.EdDSA, Key: private, Kid: kidMark}, nil)}
	started := resident(t, v)
	flood.run(*strangeKids/10, flood.showGood)
	fetches.Store(0)
	before := resident(t, v)
	most := before
	begun := time.Now()
	done := make(chan struct{})
	go func() { defer close(done); flood.run(*strangeKids, flood.showStrange) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
			most = max(most, resident(t, v))
		case <-done:
			running = false
		}
	}
	took := time.Since(begun)
	t.Logf("%d unknown kids in %s: %d fetches; resident were %.1f MB at the start, %.1f MB after a tenth as many good tokens, %.1f MB at most after that",
		*strangeKids, took.Round(time.Millisecond), fetches.Load(), float64(started)/1e6, float64(before)/1e6, float64(most)/1e6)
	if allowed := int64(took/(5*time.Second)) + 1; fetches.Load() > allowed {
		t.Errorf("the key server was asked %d times in %s", fetches.Load(), took)
	}
	if most-before > 10e6 {
		t.Errorf("the node grew by %.1f MB", float64(most-before)/1e6)
	}
}

func startNode(t *testing.T, config string) *verifier.Verifier {
	t.Helper()
	dir := t.TempDir()
	binary, err := verifier.Build(e2e.Context(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verifier.Start(e2e.Context(t), verifier.Options{Binary: binary, Dir: dir, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Stop(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func resident(t *testing.T, v *verifier.Verifier) int64 {
	t.Helper()
	n, _, err := proc.Memory(v.PID())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// kidMark stands in a token's header where each request writes a kid of its own.
var kidMark = strings.Repeat("k", 32)

type flood struct {
	t             *testing.T
	v             *verifier.Verifier
	client        *http.Client
	good, strange string
}

// run shows n tokens at the rate of a flood.
func (f *flood) run(n int, show func(i int)) {
	started := time.Now()
	var group sync.WaitGroup
	for side := range floodSides {
		group.Go(func() {
			for i := side; i < n; i += floodSides {
				time.Sleep(time.Until(started.Add(time.Duration(float64(i) / floodRate * float64(time.Second))))) // the flood's own rhythm
				show(i)
			}
		})
	}
	group.Wait()
}

func (f *flood) showGood(i int) { f.ask(f.good, fmt.Sprintf("good-%d", i), true) }

// showStrange shows a token under a kid of its own, and a good one beside every thousand of them.
func (f *flood) showStrange(i int) {
	f.ask(f.withKid(), fmt.Sprintf("strange-%d", i), false)
	if i%1000 == 0 {
		f.ask(f.good, fmt.Sprintf("beside-%d", i), true)
	}
}

// withKid is the strange token under another kid; that its signature is void then is not found out, for want of a key.
func (f *flood) withKid() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	head, rest, _ := strings.Cut(f.strange, ".")
	plain, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		f.t.Error(err)
	}
	return base64.RawURLEncoding.EncodeToString(bytes.Replace(plain, []byte(kidMark), []byte(hex.EncodeToString(random)), 1)) + "." + rest
}

func (f *flood) ask(raw, id string, allow bool) {
	body := fmt.Sprintf(`{"id":%q,"stage":"connect","host":%q,"token":%q,"session":"s1","remote_ip":"203.0.113.7"}`, id, e2e.Domain, raw)
	res, err := f.client.Post(f.v.URL+"/v1/verify", "application/json", strings.NewReader(body))
	if err != nil {
		f.t.Error(err)
		return
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	var a struct {
		Allow  bool
		Reason string
	}
	if err != nil || json.Unmarshal(text, &a) != nil {
		f.t.Errorf("%v: %s", err, text)
	}
	if a.Allow != allow {
		f.t.Errorf("a token was answered with status %d, allow %v, %q", res.StatusCode, a.Allow, a.Reason)
	}
}
