package redisstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

const heartbeat = 100 * time.Millisecond

// team revokes without pause, on several nodes at once, and remembers what was acknowledged.
type team struct {
	mu           sync.Mutex
	acknowledged []string
	tried        int
	refused      int
	pending      int
	stop         context.CancelFunc
	done         sync.WaitGroup
}

func startTeam(t *testing.T, nodes []*revocation.Ledger) *team {
	ctx, stop := context.WithCancel(context.Background())
	w := &team{stop: stop}
	for n, l := range nodes {
		w.done.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				jti := fmt.Sprintf("%d-%d", n, i)
				written, err := l.Revoke(context.Background(), []revocation.Revocation{storetest.JTI(t, jti)})
				w.mu.Lock()
				w.tried++
				switch {
				case err != nil:
					w.refused++
				case !written.Replicated:
					w.pending++
				default:
					w.acknowledged = append(w.acknowledged, jti)
				}
				w.mu.Unlock()
			}
		})
	}
	return w
}

func (w *team) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged)
}

// one picks something that was acknowledged.
func (w *team) one() (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.acknowledged) == 0 {
		return "", false
	}
	return w.acknowledged[rand.IntN(len(w.acknowledged))], true
}

// doorkeeper asks every node about what was acknowledged, all the time; a token that gets in fails the test.
func doorkeeper(ctx context.Context, t *testing.T, nodes []*revocation.Ledger, w *team) {
	for ctx.Err() == nil {
		jti, any := w.one()
		if !any {
			continue
		}
		acknowledged := time.Now()
		for n, l := range nodes {
			m := revocation.MarksOf(revocation.Subject{Issuer: "app", JTI: jti})
			_, problem := l.Judge(ctx, &m, revocation.Rules{MaxStaleness: time.Second}, time.Now())
			for ; problem == nil && time.Since(acknowledged) < time.Second; time.Sleep(time.Millisecond) {
				_, problem = l.Judge(ctx, &m, revocation.Rules{MaxStaleness: time.Second}, time.Now())
			}
			if problem == nil && ctx.Err() == nil {
				t.Errorf("node %d lets %s in, which was acknowledged as revoked more than max_staleness ago", n, jti)
				return
			}
		}
	}
}

func ledgers(t *testing.T, c config.Redis, n int) (nodes []*revocation.Ledger) {
	for range n {
		l := revocation.Open(redisstore.Open(redistest.Connect(t, c), redisstore.Options{}), revocation.Options{Heartbeat: heartbeat})
		t.Cleanup(func() { l.Close() })
		nodes = append(nodes, l)
	}
	for _, l := range nodes {
		select {
		case <-l.Loaded():
		case <-time.After(30 * time.Second):
			t.Fatal("the index was not loaded")
		}
	}
	return nodes
}

// indexed says whether a node knows by itself that a jti is revoked, without asking the store.
func indexed(l *revocation.Ledger, jti string) bool {
	m := revocation.MarksOf(revocation.Subject{Issuer: "app", JTI: jti})
	_, revoked := l.Index().Check(&m, time.Now().UnixMilli())
	return revoked
}

// nothingLost checks a fresh node, and those that lived through it, against what was acknowledged.
func nothingLost(t *testing.T, c config.Redis, nodes []*revocation.Ledger, w *team) {
	t.Helper()
	t.Logf("%d tried, %d acknowledged, %d accepted but not replicated, %d refused", w.tried, len(w.acknowledged), w.pending, w.refused)
	if len(w.acknowledged) == 0 {
		t.Fatal("nothing was acknowledged at all")
	}
	for n, l := range append(nodes, ledgers(t, c, 1)...) {
		lost := 0
		storetest.Eventually(t, "the node has caught up", func() bool {
			lost = 0
			for _, jti := range w.acknowledged {
				if !indexed(l, jti) {
					lost++
				}
			}
			return lost == 0 || n == len(nodes)
		})
		if lost > 0 {
			t.Errorf("node %d misses %d of %d acknowledged revocations", n, lost, len(w.acknowledged))
		}
	}
}

func crash(t *testing.T, server *redisserver.Redis, down time.Duration) {
	t.Helper()
	server.Kill()
	time.Sleep(down)
	comeBack(t, server)
}

func comeBack(t *testing.T, server *redisserver.Redis) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := server.Restart(ctx); err != nil {
		t.Fatal(err)
	}
}

func crashAgainAndAgain(t *testing.T, load time.Duration) {
	server := redistest.Serve(t)
	c := config.Redis{URL: server.URL(), Prefix: "usher:"}
	nodes := ledgers(t, c, 3)
	w := startTeam(t, nodes)
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { doorkeeper(ctx, t, nodes, w) })
	for end := time.Now().Add(load); time.Now().Before(end); {
		time.Sleep(rand.N(time.Second))
		crash(t, server, rand.N(300*time.Millisecond))
		before := w.count()
		storetest.Eventually(t, "service goes on", func() bool { return w.count() > before })
	}
	cancel()
	watching.Wait()
	w.stop()
	w.done.Wait()
	nothingLost(t, c, nodes, w)
}

func TestCrash_NothingAcknowledgedIsLost(t *testing.T) {
	crashAgainAndAgain(t, 4*time.Second)
}

func TestFailover_NothingAcknowledgedIsLost(t *testing.T) {
	failOver(t, 1)
}

// failoverMost is long because Sentinels do nothing for 30 s ("TILT") after the whole machine stood still for two. What a
// failover takes is logged: some three seconds.
const failoverMost = 90 * time.Second

func failOver(t *testing.T, times int) {
	watched, c := serveWatched(t)
	nodes := ledgers(t, c, 3)
	w := startTeam(t, nodes)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(times)*2*failoverMost)
	defer cancel()
	var watching sync.WaitGroup
	watching.Go(func() { doorkeeper(ctx, t, nodes, w) })
	for n := range times {
		before := w.count()
		storetest.Eventually(t, "there is load", func() bool { return w.count() > before+200 })
		master, err := watched.Master(ctx)
		if err != nil {
			t.Fatal(err)
		}
		master.Kill()
		began := time.Now()
		before = w.count()
		storetest.Within(t, failoverMost, "service goes on under another master", func() bool { return w.count() > before+100 })
		t.Logf("revocations are acknowledged again %s after the master was killed", time.Since(began).Round(time.Millisecond))
		if n+1 < times {
			comeBack(t, master)
			if err := watched.Settled(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	watching.Wait()
	w.stop()
	w.done.Wait()
	nothingLost(t, c, nodes, w)
}

func TestSilentStore_DeniesPastMaxStalenessUnlessConfiguredToAllow(t *testing.T) {
	server := redistest.Serve(t)
	c := config.Redis{URL: server.URL(), Prefix: "usher:"}
	l := ledgers(t, c, 1)[0]
	storetest.Eventually(t, "a heartbeat was heard", func() bool { return l.Stats().Age < heartbeat })
	server.Kill()
	m := revocation.MarksOf(revocation.Subject{Issuer: "app", JTI: "a"})
	rules := revocation.Rules{MaxStaleness: 500 * time.Millisecond}
	if _, problem := l.Judge(t.Context(), &m, rules, time.Now()); problem != nil {
		t.Fatalf("within max_staleness the judgement is %v", problem)
	}
	storetest.Eventually(t, "the index is too old", func() bool {
		_, problem := l.Judge(t.Context(), &m, rules, time.Now())
		return problem != nil && problem.Code == reason.RevocationUnavailable
	})
	rules.AllowWhenUnavailable = true
	if _, problem := l.Judge(t.Context(), &m, rules, time.Now()); problem != nil {
		t.Fatalf("on_unavailable: allow gives %v", problem)
	}
	if l.Stats().Unchecked == 0 || l.Stats().Unavailable == 0 {
		t.Fatalf("it was not counted: %+v", l.Stats())
	}
}

func TestStart_WithoutTheStoreThereIsNoDecision(t *testing.T) {
	server := redistest.Serve(t)
	server.Kill()
	store := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), redisstore.Options{})
	l := revocation.Open(store, revocation.Options{Heartbeat: heartbeat})
	defer l.Close()
	m := revocation.MarksOf(revocation.Subject{Issuer: "app", JTI: "a"})
	for _, rules := range []revocation.Rules{{}, {AllowWhenUnavailable: true}, {Strict: true}} {
		if _, problem := l.Judge(t.Context(), &m, rules, time.Now()); problem == nil || problem.Code != reason.RevocationUnavailable {
			t.Errorf("%+v: the judgement is %v", rules, problem)
		}
	}
	comeBack(t, server)
	<-l.Loaded()
	if _, problem := l.Judge(t.Context(), &m, revocation.Rules{}, time.Now()); problem != nil {
		t.Errorf("once it is loaded the judgement is %v", problem)
	}
}

// A store that takes no writes, for want of memory or disk, is followed and asked as ever; only what would change it fails.
func TestFullStore_IsLoadedAndFollowed(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(t *testing.T, server *redisserver.Redis)
	}{
		{"Memory", func(t *testing.T, server *redisserver.Redis) {
			if err := redistest.Direct(t, server).ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
				t.Fatal(err)
			}
		}},
		{"Disk", func(t *testing.T, server *redisserver.Redis) {
			client, gone := redistest.Direct(t, server), filepath.Join(t.TempDir(), "gone")
			if err := os.Mkdir(gone, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, setting := range [][2]string{{"dir", gone}, {"save", "3600 1"}} {
				if err := client.ConfigSet(t.Context(), setting[0], setting[1]).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Remove(gone); err != nil {
				t.Fatal(err)
			}
			_ = client.BgSave(t.Context()).Err()
			storetest.Eventually(t, "the server could not save", func() bool {
				info, err := client.Info(t.Context(), "persistence").Result()
				return err == nil && line(info, "rdb_last_bgsave_status") == "err"
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := redistest.Serve(t, "--enable-protected-configs", "yes", "--maxmemory-policy", "noeviction")
			r := config.Redis{URL: server.URL(), Prefix: "usher:"}
			before := ledgers(t, r, 1)[0]
			gone := until(t, "gone", time.Now().Add(-100*24*time.Hour)) // would be cleared away
			if _, err := before.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "a"), gone}); err != nil {
				t.Fatal(err)
			}
			c.fill(t, server)
			if _, err := before.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "b")}); err == nil {
				t.Fatal("the full store took a revocation")
			}
			after := ledgers(t, r, 1)[0]
			if !storetest.Denies(t, after, "a", revocation.Rules{}) || storetest.Denies(t, after, "b", revocation.Rules{Strict: true}) {
				t.Error("a node that started on the full store does not know what it holds")
			}
			for _, l := range []*revocation.Ledger{before, after} {
				began := time.Now()
				storetest.Eventually(t, "the store is asked where it stands", func() bool {
					return l.Stats().Age < time.Since(began)
				})
			}
			if _, err := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "other:"}), few).State(t.Context(), revocation.Identity{Epoch: "e"}, ""); err == nil {
				t.Error("an empty store that takes no identity has one")
			}
		})
	}
}

// bring puts back what a server held, as it was, in one step.
func bring(t *testing.T, client *redis.Client, held map[string]string) {
	t.Helper()
	_, err := client.TxPipelined(t.Context(), func(pipe redis.Pipeliner) error {
		pipe.FlushAll(t.Context())
		for key, value := range held {
			pipe.Restore(t.Context(), key, 0, value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// held is all that a server holds.
func held(t *testing.T, client *redis.Client) map[string]string {
	t.Helper()
	all := map[string]string{}
	keys, err := client.Keys(t.Context(), "*").Result()
	for _, key := range keys {
		if err == nil {
			all[key], err = client.Dump(t.Context(), key).Result()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestOlderStore_GetsBackWhatWasAcknowledgedSince(t *testing.T) {
	server := redistest.Serve(t)
	client := redistest.Direct(t, server)
	l := ledgers(t, config.Redis{URL: server.URL(), Prefix: "usher:"}, 1)[0]
	now := time.Now()
	revoke := func(before time.Time) {
		t.Helper()
		r := storetest.Prepared(t, revocation.Revocation{Selector: revocation.SelectUser, Issuer: "app", Value: "u", IssuedBefore: before})
		if w, err := l.Revoke(t.Context(), []revocation.Revocation{r}); err != nil || !w.Replicated {
			t.Fatalf("%+v, %v", w, err)
		}
	}
	revoke(now.Add(-72 * time.Hour))
	older := held(t, client)
	revoke(now)
	bring(t, client, older)
	storetest.Eventually(t, "the later time is put back", func() bool { return l.Stats().PutBack == 1 })
	yesterday := revocation.MarksOf(revocation.Subject{Issuer: "app", User: "u", IssuedAt: now.Add(-24 * time.Hour).UnixMilli()})
	for _, rules := range []revocation.Rules{{}, {Strict: true}} {
		if _, problem := l.Judge(t.Context(), &yesterday, rules, time.Now()); problem == nil {
			t.Errorf("%+v: a token of yesterday is let in again", rules)
		}
	}
}
