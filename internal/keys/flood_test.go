package keys

import (
	"crypto/rand"
	"encoding/hex"
	"flag"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
)

// How long the flood is spread over. The promise is for a minute; `go test -run Flood -flood 1m` shows that one.
var flood = flag.Duration("flood", time.Second, "length of the flood of unknown kids")

const flooding = 100_000

func TestFlood_OfUnknownKidsStaysATrickleAtAKeySetURL(t *testing.T) {
	server := newKeyServer(t, answer(jwks(member(newEd25519(), "kid", "known"))))
	r := ring(t, config.KeySource{JWKSURL: server.URL})
	expect(t, r, "known", token.EdDSA, "known")
	drown(t, r, server)
}

func TestFlood_OfUnknownKidsStaysATrickleAtAKeyServer(t *testing.T) {
	server := newKeyServer(t, newStore(map[string]string{"known": publicPEM(newEd25519())}, "").answer)
	r := ring(t, config.KeySource{ASAPURL: server.URL})
	expect(t, r, "known", token.EdDSA, "known")
	drown(t, r, server)
}

func TestFlood_OfUnknownKidsStaysATrickleAtAServerThatIsDown(t *testing.T) {
	server := newKeyServer(t, status(500))
	r := ring(t, config.KeySource{JWKSURL: server.URL}, config.KeySource{Secret: secretA, Kid: "known"})
	drown(t, r, server)
}

// drown asks for 100,000 kids that nobody has, evenly over the time of the flood and from many sides at once, and for
// a known key beside each.
func drown(t *testing.T, r *Ring, server *keyServer) {
	t.Helper()
	debug.FreeOSMemory()
	before, begin := resident(t), time.Now()
	first := len(server.visits())
	known := r.List()[len(r.List())-1]
	var asked, slowest atomic.Int64
	var sides sync.WaitGroup
	for range 50 {
		sides.Go(func() {
			for n := asked.Add(1); n <= flooding; n = asked.Add(1) {
				due := begin.Add(*flood * time.Duration(n) / flooding)
				time.Sleep(time.Until(due)) // the flood's own rhythm, not a wait for something
				random := make([]byte, 32)
				_, _ = rand.Read(random)
				if _, p := r.Find(t.Context(), hex.EncodeToString(random), true, token.EdDSA, due, nobody); p == nil ||
					p.Code != reason.KeyUnavailable && p.Code != reason.KeyNotFound {
					t.Errorf("got %v", p)
				}
				note(&slowest, timed(t, r, known))
			}
		})
	}
	sides.Wait()
	took := time.Since(begin)
	grown := resident(t) - before
	fetches := server.visits()[first:]
	most := 0
	for _, v := range fetches {
		within := 0
		for _, w := range fetches {
			if d := w.at.Sub(v.at); d >= 0 && d < time.Minute {
				within++
			}
		}
		most = max(most, within)
	}
	t.Logf("%d unknown kids in %s: %d fetches, at most %d in a minute, %.1f MB more resident, a known key took at most %s",
		flooding, took.Round(time.Millisecond), len(fetches), most, float64(grown)/1e6, time.Duration(slowest.Load()))
	if allowed := 1 + int(took/usual.floor); most > 13 || len(fetches) > allowed+1 {
		t.Errorf("%d fetches, %d within a minute", len(fetches), most)
	}
	if grown > 10e6 && !raceDetector {
		t.Errorf("%d bytes more are resident", grown)
	}
}

// timed is how long it takes to find a key that is known.
func timed(t *testing.T, r *Ring, known Info) time.Duration {
	alg := token.EdDSA
	if known.Type == "secret" {
		alg = token.HS256
	}
	begin := time.Now()
	if _, p := r.Find(t.Context(), known.Kid, true, alg, begin, nobody); p != nil {
		t.Errorf("the known key: %v", p)
	}
	return time.Since(begin)
}

func note(slowest *atomic.Int64, d time.Duration) {
	for {
		old := slowest.Load()
		if int64(d) <= old || slowest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// resident is the memory of this process that is in use, as the system counts it.
func resident(t *testing.T) int64 {
	t.Helper()
	n, _, err := proc.Memory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return n
}
