package revoke_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/reason"
)

// staleness is max_staleness of both profiles: one denies when it cannot know, one allows.
const staleness = 2 * time.Second

const twoMinds = `  default:
    domain: meet.example.com
    rooms: {create: allow}
    revocation: {max_staleness: 2s, on_unavailable: deny}
    issuers: [{iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi]}]
  open:
    domain: meet.example.com
    rooms: {create: allow}
    revocation: {max_staleness: 2s, on_unavailable: allow}
    issuers: [{iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi]}]
`

// ordeal is a fleet under load while its store is maltreated.
type ordeal struct {
	nodes  []*verifier.Verifier
	inside *scene // on the first node
	config string

	stop context.CancelFunc
	done sync.WaitGroup

	neighbours, victims []*e2e.Visitor

	refused, accepted                atomic.Int64 // of the revocations
	denied, late                     atomic.Int64 // of the revoked who ask
	allowed, unavailable, openedWide atomic.Int64 // of the honest who ask
	mu                               sync.Mutex
	acknowledged                     []gone
}

// gone is a token whose revocation was acknowledged.
type gone struct {
	raw string
	at  time.Time
}

// victims is how many live sessions are revoked while the store is maltreated.
const victims = 12

// begin starts the fleet, lets people in, and puts load on it.
func begin(t *testing.T, yaml string) *ordeal {
	t.Helper()
	releases, err := prosody.Releases()
	if err != nil {
		t.Fatal(err)
	}
	o := &ordeal{config: yaml}
	for range nodes {
		o.nodes = append(o.nodes, e2e.StartVerifier(t, e2e.Setup{Verifier: yaml, Profiles: twoMinds}))
	}
	o.inside = asking(t, releases[len(releases)-1], team{}, o.nodes[0])
	o.neighbours = o.inside.fill(t, "daily")
	for n := range victims {
		name := fmt.Sprint("victim-", n)
		who := e2e.Who{Via: transports[n%len(transports)], Token: holder(t, name)}
		o.victims = append(o.victims, o.inside.enter(t, who, "daily", name))
	}
	ctx, stop := context.WithCancel(t.Context())
	o.stop = stop
	t.Cleanup(func() { stop(); o.done.Wait() })
	for n := range o.nodes {
		o.done.Go(func() { o.keepRevoking(ctx, t, n) })
		o.done.Go(func() { o.keepShowingRevoked(ctx, t, o.nodes[n]) })
		o.done.Go(func() { o.keepShowingGood(ctx, t, o.nodes[n]) })
	}
	o.done.Go(func() { o.revokeVictims(ctx, t) })
	return o
}

// every calls do until ctx ends, and pauses between.
func every(ctx context.Context, d time.Duration, do func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for ctx.Err() == nil {
		do()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// revoke tries once, through one of the nodes, and says whether it was acknowledged.
func (o *ordeal) revoke(t *testing.T, node int, name string) bool {
	acknowledged, err := revokeAt(o.nodes[node], jti(name))
	switch {
	case err != nil:
		o.refused.Add(1)
	case !acknowledged:
		o.accepted.Add(1)
	default:
		o.mu.Lock()
		defer o.mu.Unlock()
		o.acknowledged = append(o.acknowledged, gone{holder(t, name), time.Now()})
		return true
	}
	return false
}

func (o *ordeal) keepRevoking(ctx context.Context, t *testing.T, n int) {
	i := 0
	every(ctx, 20*time.Millisecond, func() {
		i++
		o.revoke(t, n, fmt.Sprint("absent-", n, "-", i))
	})
}

// revokeVictims revokes those who are inside, one after the other, each until that is acknowledged.
func (o *ordeal) revokeVictims(ctx context.Context, t *testing.T) {
	n := 0
	every(ctx, 200*time.Millisecond, func() {
		if n < victims && o.revoke(t, n%nodes, fmt.Sprint("victim-", n)) {
			n++
		}
	})
	for ; n < victims; n++ {
		for !o.revoke(t, n%nodes, fmt.Sprint("victim-", n)) {
			if t.Failed() { // because none is acknowledged any more: that is told when this ends
				return
			}
		}
	}
}

// keepShowingRevoked shows a node tokens whose revocation was acknowledged, the latest most often. None may get in that
// was revoked longer ago than max_staleness.
func (o *ordeal) keepShowingRevoked(ctx context.Context, t *testing.T, v *verifier.Verifier) {
	every(ctx, 5*time.Millisecond, func() {
		o.mu.Lock()
		known := len(o.acknowledged)
		if known == 0 {
			o.mu.Unlock()
			return
		}
		back := rand.IntN(min(known, 10))
		if rand.IntN(4) == 0 {
			back = rand.IntN(known)
		}
		shown := o.acknowledged[known-1-back]
		o.mu.Unlock()
		age := time.Since(shown.at)
		switch status, why := connect(t, v, newID(), newID(), shown.raw); {
		case status == http.StatusOK && why == reason.None && age > staleness:
			t.Errorf("a token got in %s after its revocation was acknowledged", age)
		case status == http.StatusOK && why == reason.None:
			o.late.Add(1)
		case why == reason.TokenRevoked:
			o.denied.Add(1)
		}
	})
}

// keepShowingGood shows a node tokens that nobody revoked: a store that is away may make them wait where the config
// says so, and never denies them.
func (o *ordeal) keepShowingGood(ctx context.Context, t *testing.T, v *verifier.Verifier) {
	raw := holder(t, "honest")
	every(ctx, 5*time.Millisecond, func() {
		switch status, why := connect(t, v, newID(), newID(), raw); {
		case status == http.StatusOK && why == reason.None:
			o.allowed.Add(1)
		case status == http.StatusServiceUnavailable && why == reason.RevocationUnavailable:
			o.unavailable.Add(1)
		default:
			t.Errorf("a good token is answered %d, %s", status, why)
		}
		status, why := ask(t, v, map[string]string{"id": newID(), "session": newID(), "stage": "connect", "token": raw, "profile": "open"})
		if status != http.StatusOK || why != reason.None {
			t.Errorf("with on_unavailable: allow a good token is answered %d, %s", status, why)
		}
		o.openedWide.Add(1)
	})
}

func (o *ordeal) soFar() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.acknowledged)
}

// mustGoOn waits until revocations are acknowledged again and a good token is let in.
func (o *ordeal) mustGoOn(t *testing.T, limit time.Duration) {
	t.Helper()
	before, allowed := o.soFar(), o.allowed.Load()
	for end := time.Now().Add(limit); o.soFar() < before+10 || o.allowed.Load() < allowed+10; pause(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("service does not go on: %s", o.tally())
		}
	}
}

func (o *ordeal) tally() string {
	return fmt.Sprintf("revocations: %d acknowledged, %d accepted but not replicated, %d refused\n"+
		"revoked tokens: %d times denied, %d times let in within max_staleness\n"+
		"good tokens: %d times let in, %d times told to wait; %d times let in with on_unavailable: allow",
		o.soFar(), o.accepted.Load(), o.refused.Load(), o.denied.Load(), o.late.Load(),
		o.allowed.Load(), o.unavailable.Load(), o.openedWide.Load())
}

// end takes the load off, once all victims have been revoked.
func (o *ordeal) end(t *testing.T) {
	t.Helper()
	o.stop()
	o.done.Wait()
}

// mustHaveLostNothing checks all that was acknowledged: on the nodes that lived through it, on one that starts now, and
// inside.
func (o *ordeal) mustHaveLostNothing(t *testing.T) {
	t.Helper()
	for n, v := range append(o.nodes, e2e.StartVerifier(t, e2e.Setup{Verifier: o.config, Profiles: twoMinds})) {
		// A node finds back to a store that was away for long within a second.
		mustBecome(t, v, holder(t, "honest"), reason.None)
		var wg sync.WaitGroup
		for part := range 4 {
			wg.Go(func() {
				for i := part; i < len(o.acknowledged); i += 4 {
					if status, why := recheck(t, v, o.acknowledged[i].raw); why != reason.TokenRevoked {
						t.Errorf("node %d answers %d, %q to a token whose revocation was acknowledged", n, status, why)
					}
				}
			})
		}
		wg.Wait()
	}
	for n, v := range o.victims {
		mustBePutOut(t, v, "daily", fmt.Sprint("victim-", n))
	}
	mustAllStay(o.neighbours, "daily")
}
