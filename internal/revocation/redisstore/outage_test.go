package redisstore_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

// restricted is a node that follows a Redis as the ACL user of the documentation, with rights that come and go.
type restricted struct {
	admin *redis.Client
	url   string
	node  *revocation.Ledger
	log   *proc.Log
}

func restrict(t *testing.T) *restricted {
	t.Helper()
	server := redistest.Serve(t)
	r := &restricted{admin: redistest.Direct(t, server), url: server.URL(), log: &proc.Log{}}
	r.may(t, append([]any{"on", ">a-password"}, rights(t)...)...)
	store := redisstore.Open(redistest.Connect(t, config.Redis{URL: r.url, Username: "usher", Password: "a-password", Prefix: "usher:"}), few)
	r.node = revocation.Open(store, revocation.Options{Heartbeat: heartbeat, Logger: slog.New(slog.NewTextHandler(r.log, nil))})
	t.Cleanup(func() { r.node.Close() })
	<-r.node.Loaded()
	return r
}

func (r *restricted) may(t *testing.T, rules ...any) {
	t.Helper()
	if err := r.admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "usher"}, rules...)...).Err(); err != nil {
		t.Fatal(err)
	}
}

// Whoever may not read changes, or not ask where the store stands, still gets an answer to the other question.
func TestFollowing_WithHalfOfTheRightsIsOneLineInTheLogAndItsEndAnother(t *testing.T) {
	for _, command := range []string{"xread", "info"} {
		t.Run(command, func(t *testing.T) {
			r := restrict(t)
			r.may(t, "-"+command)
			storetest.Eventually(t, "the node has failed at it again and again", func() bool {
				stats := redisconn.ParseInfo(r.admin.Info(t.Context(), "commandstats").Val())["cmdstat_"+command]
				_, rejected, _ := strings.Cut(stats, "rejected_calls=")
				n := 0
				_, _ = fmt.Sscan(strings.Split(rejected, ",")[0], &n)
				return n >= 10
			})
			if said := r.log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "cannot be followed") || !strings.Contains(said, command) {
				t.Errorf("while it lasts the log has other lines: %.2000q", said)
			}
			r.may(t, "+"+command)
			storetest.Eventually(t, "the log says that it is over", func() bool { return r.log.Contains("followed again") })
			if said := r.log.String(); strings.Count(said, "\n") != 2 {
				t.Errorf("at its end the log has other lines: %.2000q", said)
			}
		})
	}
}

// Whoever has fallen behind and may not load the store anew goes on getting changes that it has no use for.
func TestFollowing_AGapThatCannotBeClosedIsOneLineInTheLogAndItsEndAnother(t *testing.T) {
	r := restrict(t)
	r.may(t, "-xread", "-zrange")
	storetest.Eventually(t, "the node hears of no changes", func() bool { return r.log.Contains("xread") })
	missed := make([]revocation.Revocation, 3*storetest.KeepChanges)
	for i := range missed {
		missed[i] = storetest.JTI(t, fmt.Sprint(i))
	}
	if _, err := redisstore.Open(redistest.Connect(t, config.Redis{URL: r.url, Prefix: "usher:"}), few).Revoke(t.Context(), missed); err != nil {
		t.Fatal(err)
	}
	r.may(t, "+xread")
	storetest.Eventually(t, "the node has tried again and again to load the store", func() bool { return r.node.Stats().Gaps >= 5 })
	if said := r.log.String(); strings.Count(said, "\n") != 1 {
		t.Errorf("while it lasts the log has other lines: %.2000q", said)
	}
	r.may(t, "+zrange")
	storetest.Eventually(t, "the log says that it is over", func() bool { return r.log.Contains("followed again") })
	if said, s := r.log.String(), r.node.Stats(); strings.Count(said, "\n") != 2 || s.Entries[revocation.SelectJTI] != len(missed) {
		t.Errorf("at its end the node has %d revocations, and the log other lines: %.2000q", s.Entries[revocation.SelectJTI], said)
	}
}

// An emptied store is loaded anew, and what it lost put back, for longer than a heartbeat where there is much.
func TestFollowing_ALoadThatOutlastsAHeartbeatIsNotBegunAgain(t *testing.T) {
	const all = 10_000
	server := redistest.Serve(t)
	c := config.Redis{URL: server.URL(), Prefix: "usher:"}
	l := revocation.Open(redisstore.Open(redistest.Connect(t, c), few), revocation.Options{Heartbeat: 20 * time.Millisecond})
	t.Cleanup(func() { l.Close() })
	<-l.Loaded()
	many := make([]revocation.Revocation, all)
	for i := range many {
		many[i] = storetest.JTI(t, fmt.Sprint(i))
	}
	if _, err := l.Revoke(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	// With so few changes kept it has loaded them: its index has a load's entries before the load is counted.
	storetest.Eventually(t, "the node has followed them all", func() bool { s := l.Stats(); return s.Entries[revocation.SelectJTI] == all && s.Seq == all })
	loads := l.Stats().Loads
	if err := redistest.Direct(t, server).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	storetest.Eventually(t, "it is loaded anew", func() bool { return l.Stats().Loads > loads })
	if s := l.Stats(); s.PutBack != all || s.Loads != loads+1 {
		t.Errorf("%d were put back in %d loads", s.PutBack, s.Loads-loads)
	}
}

// A failover and one back, while a node is cut off, bring it to the process that it knew, with another history.
func TestFollowing_SeesThatTheSameProcessHasTakenOverAnotherHistory(t *testing.T) {
	first, second := redistest.Serve(t, "--repl-diskless-sync-delay", "0"), redistest.Serve(t, "--repl-diskless-sync-delay", "0")
	one, other := redistest.Direct(t, first), redistest.Direct(t, second)
	follows := func(who *redis.Client, master *redisserver.Redis) {
		t.Helper()
		if err := who.Do(t.Context(), "REPLICAOF", "127.0.0.1", master.Port).Err(); err != nil {
			t.Fatal(err)
		}
		storetest.Eventually(t, "the replica has everything", func() bool {
			info := redisconn.ParseInfo(who.Info(t.Context(), "replication").Val())
			return info["master_link_status"] == "up" && info["master_sync_in_progress"] == "0"
		})
	}
	leads := func(who *redis.Client) {
		t.Helper()
		if err := who.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
			t.Fatal(err)
		}
	}
	write := func(server *redisserver.Redis, jtis ...string) {
		t.Helper()
		store := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), redisstore.Options{})
		for _, jti := range jtis {
			if _, err := store.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, jti)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	node := ledgers(t, config.Redis{URL: first.URL(), Prefix: "usher:"}, 1)[0]
	write(first, "before")
	follows(other, first)
	leads(other)
	write(first, "lost")
	storetest.Eventually(t, "the node has heard of the last change", func() bool { return indexed(node, "lost") })
	write(second, "in its place", "after")
	follows(one, second)
	leads(one)
	for _, jti := range []string{"before", "after", "in its place", "lost"} {
		storetest.Eventually(t, "the index has "+jti, func() bool { return indexed(node, jti) })
	}
	fresh := ledgers(t, config.Redis{URL: first.URL(), Prefix: "usher:"}, 1)[0]
	storetest.Eventually(t, "what was lost was put back", func() bool { return indexed(fresh, "lost") })
}

func TestChanges_AreNotWaitedForFromAServerThatIsSilent(t *testing.T) {
	server := redistest.Serve(t)
	store := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), redisstore.Options{})
	if changes, err := store.Changes(t.Context(), 0, time.Millisecond); err != nil || len(changes) != 0 {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	if err := server.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := store.Changes(t.Context(), 0, time.Millisecond)
		ended <- err
	}()
	storetest.Within(t, 8*time.Second, "the wait ends", func() bool { return len(ended) > 0 })
	if err := <-ended; err == nil {
		t.Error("a server that is silent has answered")
	}
	if err := server.Thaw(); err != nil {
		t.Fatal(err)
	}
}

// What only the emptied store had would be let in until the next heartbeat, and be lost where it is emptied once more.
func TestRevoke_IntoAStoreThatWasEmptiedIsInTheIndexOfTheNode(t *testing.T) {
	server := redistest.Serve(t)
	admin := redistest.Direct(t, server)
	store := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), redisstore.Options{})
	const seldom = 5 * time.Second
	node := revocation.Open(store, revocation.Options{Heartbeat: seldom})
	t.Cleanup(func() { node.Close() })
	<-node.Loaded()
	for _, jtis := range [][]string{{"a", "b", "c"}, {"d"}, {"e"}} {
		for _, jti := range jtis {
			if _, err := node.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, jti)}); err != nil {
				t.Fatal(err)
			}
			storetest.Within(t, seldom-time.Second, jti+" is in the index", func() bool { return indexed(node, jti) })
		}
		if err := admin.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, jti := range []string{"a", "b", "c", "d", "e"} {
		if !indexed(node, jti) {
			t.Errorf("%s is lost", jti)
		}
	}
}

// A node that has fallen behind loads the store anew, which may be another one by then.
func TestFollowing_PutsBackWhatAStoreLostThatHasMovedOnPastTheNode(t *testing.T) {
	server := redistest.Serve(t)
	c := config.Redis{URL: server.URL(), Prefix: "usher:"}
	node := revocation.Open(redisstore.Open(redistest.Connect(t, c), few), revocation.Options{})
	t.Cleanup(func() { node.Close() })
	<-node.Loaded()
	if _, err := node.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "lost")}); err != nil {
		t.Fatal(err)
	}
	storetest.Eventually(t, "the node follows", func() bool { return node.Stats().Seq == 1 })
	if err := redistest.Direct(t, server).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	others := make([]revocation.Revocation, 500) // one write, of which the first changes are not kept
	for i := range others {
		others[i] = storetest.JTI(t, fmt.Sprint(i))
	}
	if _, err := redisstore.Open(redistest.Connect(t, c), few).Revoke(t.Context(), others); err != nil {
		t.Fatal(err)
	}
	storetest.Eventually(t, "the node has the others'", func() bool { return indexed(node, fmt.Sprint(len(others)-1)) })
	storetest.Eventually(t, "it has put back what was lost", func() bool { return node.Stats().PutBack == 1 })
	if !indexed(node, "lost") {
		t.Error("what was lost is let in")
	}
}
