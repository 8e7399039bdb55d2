package redisstore

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/redisconn/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a Redis that does not wait for its disk at each write.
func serve(t *testing.T, args ...string) *redisserver.Redis {
	t.Helper()
	return redistest.Serve(t, append([]string{"--appendfsync", "everysec"}, args...)...)
}

func openAs(t *testing.T, c config.Redis, writer string, opt Options) *Store {
	t.Helper()
	opt.Writer = writer
	if opt.Now == nil {
		opt.Now = func() time.Time { return storetest.Now }
	}
	s := Open(redistest.Connect(t, c), opt)
	t.Cleanup(func() { s.Close() })
	return s
}

func contract(t *testing.T, c config.Redis) {
	storetest.Run(t, func(t *testing.T, now time.Time) audit.Store {
		c := c
		c.Prefix = redistest.Prefix()
		return openAs(t, c, "node-1", Options{})
	})
}

func TestStore_KeepsTheContractOnOneServer(t *testing.T) {
	contract(t, config.Redis{URL: serve(t).URL()})
}

func TestStore_SaysInOneSentenceThatRedisIsGone(t *testing.T) {
	server := serve(t)
	s := openAs(t, config.Redis{URL: server.URL(), Prefix: redistest.Prefix()}, "n", Options{})
	server.Kill()
	err := s.Append(t.Context(), storetest.Rows(storetest.Events(1)))
	if err == nil || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "0 bytes") {
		t.Errorf("%q", err)
	}
}

// pipeInto opens a pipeline into a store. record has it bring so many more events of the user u there, and says how many it
// has brought.
func pipeInto(t *testing.T, s *Store) (p *audit.Pipeline, record func(n int) (all int)) {
	t.Helper()
	p, err := audit.Open(t.Context(), s, audit.Options{Dir: t.TempDir(), SpillMax: 64 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	recorded := 0
	return p, func(n int) int {
		t.Helper()
		for range n {
			now := time.Now()
			p.Record(audit.Event{Time: now, ID: audit.NewID(now), Kind: audit.Decision, Verdict: audit.Allow, UserID: "u"})
		}
		recorded += n
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		return recorded
	}
}

// A replica takes over that has not heard of the last rows, and then Redis is emptied. Neither need show on a connection.
func TestPipeline_BringsAgainWhatRedisHasLost(t *testing.T) {
	first, second := serve(t, "--repl-diskless-sync-delay", "0"), serve(t, "--repl-diskless-sync-delay", "0")
	s := openAs(t, config.Redis{URL: first.URL(), Prefix: redistest.Prefix()}, "node-1", Options{Now: time.Now})
	p, record := pipeInto(t, s)
	becomes := func(one, other *redisserver.Redis) { // what the other is, and a master
		t.Helper()
		client := redistest.Direct(t, one)
		if err := client.Do(t.Context(), "REPLICAOF", "127.0.0.1", other.Port).Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the replica has everything", func() bool {
			return redisconn.ParseInfo(client.Info(t.Context(), "replication").Val())["master_link_status"] == "up"
		})
		if err := client.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
			t.Fatal(err)
		}
	}
	record(200)
	becomes(second, first)
	record(100)
	becomes(first, second)
	record(1)
	if err := redistest.Direct(t, first).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	recorded := record(1)
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	ids := map[string]bool{}
	for _, e := range pagesOf(t, s, audit.Query{User: "u", Limit: 100}) {
		ids[e.ID] = true
	}
	if len(ids) != recorded {
		t.Errorf("%d events are found, want %d", len(ids), recorded)
	}
	span := audit.Query{Since: time.Now().Add(-2 * time.Hour), Until: time.Now().Add(time.Hour)}
	counts, err := s.Stats(t.Context(), audit.StatsQuery{By: "reason", Every: time.Hour, Query: span})
	counted := int64(0)
	for _, c := range counts {
		counted += c.Count
	}
	if err != nil || counted != int64(recorded) {
		t.Errorf("%d events are counted, want %d, %v", counted, recorded, err)
	}
}

// emptying is a hook that empties Redis once, right before a command.
type emptying struct {
	command string
	redis   *redis.Client
	armed   atomic.Bool
}

func (h *emptying) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *emptying) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *emptying) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == h.command && h.armed.CompareAndSwap(true, false) {
			if err := h.redis.FlushAll(ctx).Err(); err != nil {
				return err
			}
		}
		return next(ctx, cmd)
	}
}

func TestPipeline_BringsAgainWhatRedisLosesWhileItIsWrittenTo(t *testing.T) {
	for _, command := range []string{"zadd", "evalsha", "set"} {
		t.Run("before "+command, func(t *testing.T) {
			server := serve(t)
			hook := &emptying{command: command, redis: redistest.Direct(t, server)}
			s := openAs(t, config.Redis{URL: server.URL(), Prefix: "usher:"}, "node-1", Options{Now: time.Now})
			s.client.AddHook(hook)
			p, record := pipeInto(t, s)
			record(300)
			hook.armed.Store(true)
			record(1)
			recorded := record(1)
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if all := pagesOf(t, s, audit.Query{User: "u", Limit: 100}); len(all) != recorded || hook.armed.Load() {
				t.Errorf("%d events are found, want %d", len(all), recorded)
			}
		})
	}
}

// What waited for longer than it is kept expires as it comes; that is no loss, and holds nothing up.
func TestPipeline_GoesOnBehindWhatHasExpired(t *testing.T) {
	s := openAs(t, config.Redis{URL: serve(t).URL(), Prefix: "usher:"}, "node-1", Options{Now: time.Now, Retention: time.Hour})
	p, err := audit.Open(t.Context(), s, audit.Options{Dir: t.TempDir(), SpillMax: 64 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for n, at := range []time.Time{time.Now().Add(-5 * time.Hour), time.Now()} {
		for range 3 * chunkRows {
			p.Record(audit.Event{Time: at, ID: audit.NewID(at), Kind: audit.Decision, Verdict: audit.Allow, UserID: fmt.Sprint(n)})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := p.Flush(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if all := pagesOf(t, s, audit.Query{User: "1", Limit: 100}); len(all) != 3*chunkRows {
		t.Errorf("%d events are found, want %d", len(all), 3*chunkRows)
	}
}

// A Redis that evicts takes any key with an expiry, and the rows beside it stay.
func TestPipeline_GoesOnWhereRedisHasEvictedAPosition(t *testing.T) {
	s := openAs(t, config.Redis{URL: serve(t).URL(), Prefix: "usher:"}, "node-1", Options{Now: time.Now})
	p, err := audit.Open(t.Context(), s, audit.Options{Dir: t.TempDir(), SpillMax: 64 << 20, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		for range 2 {
			now := time.Now()
			p.Record(audit.Event{Time: now, ID: audit.NewID(now), Kind: audit.Decision, Verdict: audit.Allow, UserID: "u"})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := p.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		last, err := s.Last(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at := place{hourOf(last), "node-1"}
		if n == 1 {
			continue
		}
		if err := s.client.Del(t.Context(), s.key(at, "p")).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if all := pagesOf(t, s, audit.Query{User: "u", Limit: 100}); len(all) != 6 {
		t.Errorf("%d events are found, want 6", len(all))
	}
}

func TestStore_LeavesAloneWhatANewerUsherHasLaidOut(t *testing.T) {
	c := config.Redis{URL: serve(t).URL(), Prefix: redistest.Prefix()}
	s := openAs(t, c, "n", Options{})
	rows := storetest.Rows(storetest.Events(2))
	if err := s.Append(t.Context(), rows[:1]); err != nil {
		t.Fatal(err)
	}
	if err := s.client.Append(t.Context(), c.Prefix+"audit:seed", "\x02").Err(); err != nil {
		t.Fatal(err)
	}
	for what, do := range map[string]func() error{
		"append": func() error { return s.Append(t.Context(), rows[1:]) },
		"query":  func() error { _, err := s.Query(t.Context(), audit.Query{Limit: 1}); return err },
		"get":    func() error { _, _, err := s.Get(t.Context(), storetest.Events(1)[0].ID); return err },
		"stats":  func() error { _, err := s.Stats(t.Context(), audit.StatsQuery{By: "reason"}); return err },
		"erase":  func() error { _, err := s.Erase(t.Context(), "ada"); return err },
		"follow": func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // which ends what is followed all the same
			defer cancel()
			return s.Follow(ctx, audit.Query{}, func(audit.Event) error { return nil })
		},
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "a newer usher") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
