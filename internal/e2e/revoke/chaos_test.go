package revoke_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/redisserver"
)

var (
	turmoil   = flag.Duration("turmoil", 4*time.Second, "how long TestChaos crashes Redis again and again")
	failovers = flag.Int("failovers", 1, "how often TestChaos lets the Sentinels fail over")
)

// Neither of these runs beside others: for Sentinels a machine that has no time is a master that is down.

// The server is killed at random moments. Now and then it stays away for longer than max_staleness.
func TestChaos_ARedisThatCrashesLosesNothingAndLetsNobodyIn(t *testing.T) {
	server := serveRedis(t, t.TempDir())
	o := begin(t, fmt.Sprintf("redis: {url: %q}\n", server.URL()))
	crashes := 0
	for end := time.Now().Add(*turmoil); time.Now().Before(end); crashes++ {
		pause(rand.N(time.Second))
		server.Kill()
		away := rand.N(300 * time.Millisecond)
		if crashes%8 == 1 {
			away = staleness + 2*time.Second
		}
		pause(away)
		comeBack(t, server)
		o.mustGoOn(t, 30*time.Second)
	}
	o.end(t)
	t.Logf("%d crashes\n%s", crashes, o.tally())
	o.mustHaveLostNothing(t)
}

func TestChaos_AFailoverLosesNothingAndLetsNobodyIn(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	watched, err := redisserver.StartWatched(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		watched.Stop()
		if t.Failed() {
			t.Logf("the Sentinels printed, at the end:\n%s", watched.Log())
		}
	})
	o := begin(t, fmt.Sprintf("redis: {sentinel: {master: %s, addresses: ['%s']}}\n",
		redisserver.MasterName, strings.Join(watched.Addresses, "', '")))
	for n := range *failovers {
		o.mustGoOn(t, 30*time.Second)
		master, err := watched.Master(e2e.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		master.Kill()
		began := time.Now()
		o.mustGoOn(t, 2*time.Minute)
		t.Logf("revocations are acknowledged again %s after the master was killed", time.Since(began).Round(time.Millisecond))
		if n+1 < *failovers {
			comeBack(t, master)
			settling, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := watched.Settled(settling)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	o.end(t)
	t.Logf("%d failovers\n%s", *failovers, o.tally())
	o.mustHaveLostNothing(t)
}

// pause lets load go on for a while: there is nothing to wait for but time.
func pause(d time.Duration) { <-time.After(d) }
