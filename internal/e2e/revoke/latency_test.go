package revoke_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/reason"
)

var (
	revocations = flag.Int("revocations", 36, "how many sessions TestLatency revokes")
	goals       = flag.Bool("goals", false, "TestLatency fails where a goal is missed: for a machine that does nothing else")
)

// nodes is how many verifiers share the Redis, each with a Prosody of its own.
const nodes = 3

// pace is the time between two revocations: what one causes is over, for the most part, before the next.
const pace = 25 * time.Millisecond

// station is one node of the fleet: a Prosody and the verifier that it asks.
type station struct {
	*scene
	door *verifier.Verifier
}

// inside is one session that will be revoked, and what became of it.
type inside struct {
	*e2e.Visitor
	name, room, raw string
	via             e2e.Via
	kicked, closed  chan time.Time
}

// From the acknowledged revocation to: denied on every node, out of the room, stream closed.
func TestLatency_FromAcknowledgedToDeniedKickedAndClosed(t *testing.T) {
	stations := openFleet(t)
	sessions := fillFleet(t, stations)
	results := newResults()
	ctx, cancel := context.WithCancel(t.Context())
	var control sync.WaitGroup
	control.Go(func() { results.control(ctx) })
	var pending sync.WaitGroup
	var let atomic.Int64
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n, s := range sessions {
		<-tick.C
		if ok, err := revokeAt(stations[n/nodes%nodes].door, jti(s.name)); !ok || err != nil {
			t.Fatalf("%s was not revoked: %v", s.name, err)
		}
		acknowledged := time.Now()
		pending.Go(func() {
			at, late := deniedEverywhere(t, stations, s.raw)
			results.add(denied, "", at.Sub(acknowledged))
			let.Add(int64(late))
		})
		pending.Go(func() { results.watch(t, s, acknowledged) })
	}
	pending.Wait()
	cancel()
	control.Wait()
	t.Logf("%d revocations, one every %s, on %d nodes; %s\n%s%d of %d first answers after an acknowledgement still let the token in",
		len(sessions), pace, nodes, load(), results.table(), let.Load(), nodes*len(sessions))
	if missed := results.missed(); *goals && len(missed) > 0 {
		t.Errorf("not met: %v", missed)
	}
}

// openFleet starts the stations on one Redis, on alternating releases of Prosody.
func openFleet(t *testing.T) []station {
	t.Helper()
	releases, err := prosody.Releases()
	if err != nil {
		t.Fatal(err)
	}
	server := serveRedis(t, t.TempDir())
	var all []station
	for n := range nodes {
		v := e2e.StartVerifier(t, e2e.Setup{Verifier: fmt.Sprintf("redis: {url: %q}\n", server.URL())})
		all = append(all, station{asking(t, releases[n%len(releases)], team{}, v), v})
	}
	return all
}

// roomSize is how many sit in a room together.
const roomSize = 10

// fillFleet brings the sessions in, spread over nodes and transports.
func fillFleet(t *testing.T, stations []station) []*inside {
	t.Helper()
	all := make([]*inside, *revocations)
	var wg sync.WaitGroup
	for n, station := range stations {
		wg.Go(func() {
			for i := n; i < len(all); i += len(stations) {
				k := i / len(stations)
				name := fmt.Sprint("victim-", i)
				s := &inside{
					name: name, room: fmt.Sprint("room-", k/roomSize), raw: holder(t, name), via: transports[k%len(transports)],
					kicked: make(chan time.Time, 1), closed: make(chan time.Time, 1),
				}
				s.Visitor = station.enter(t, e2e.Who{Via: s.via, Token: s.raw}, s.room, name)
				all[i] = s
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, s := range all {
		go s.look(t.Context())
	}
	return all
}

// look notes when the session sees that it was taken out of its room, and when its stream ends.
func (s *inside) look(ctx context.Context) {
	defer close(s.kicked)
	defer close(s.closed)
	_, err := s.Expect(ctx, "to be taken out", func(e *client.Element) bool {
		return e.Name() == "presence" && e.Attr("from") == e2e.Room(s.room)+"/"+s.name && e.HasStatus("307")
	})
	if err != nil {
		return
	}
	s.kicked <- time.Now()
	var ended *client.StreamError
	if errors.As(s.Ended(ctx), &ended) && ended.Condition == "policy-violation" {
		s.closed <- time.Now()
	}
}

// deniedEverywhere asks every node about a token until it is denied. It gives the time of the last one's deny, and how
// many nodes did not deny at once.
func deniedEverywhere(t *testing.T, stations []station, raw string) (last time.Time, late int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, station := range stations {
		wg.Go(func() {
			asked, ctx := 1, e2e.Context(t)
			for ; ctx.Err() == nil; asked++ {
				if _, why := connect(t, station.door, newID(), newID(), raw); why == reason.TokenRevoked {
					break
				}
			}
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			if asked > 1 {
				late++
			}
			if now.After(last) {
				last = now
			}
		})
	}
	wg.Wait()
	return last, late
}
