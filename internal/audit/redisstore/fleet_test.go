package redisstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
)

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func TestStore_KeepsTheContractOnACluster(t *testing.T) {
	contract(t, redistest.Cluster(t, 2, "--appendfsync", "everysec"))
}

func TestStore_AnyNodeAnswersForAll(t *testing.T) {
	for name, c := range map[string]config.Redis{"one server": {URL: serve(t).URL()}, "cluster": redistest.Cluster(t, 2, "--appendfsync", "everysec")} {
		t.Run(name, func(t *testing.T) {
			c.Prefix = redistest.Prefix()
			nodes := []*Store{openAs(t, c, "node-a", Options{}), openAs(t, c, "node-b", Options{}), openAs(t, c, "node-c", Options{})}
			events := storetest.Events(900)
			var rows [3][]audit.Row
			for i := range events {
				events[i].Node = fmt.Sprintf("node-%c", 'a'+i%3)
				// The same keys on every node: only the node tells them apart.
				rows[i%3] = append(rows[i%3], audit.Row{K: audit.FirstK(storetest.Now.Add(time.Duration(i/3-400) * 20 * time.Second)), Data: audit.Pack(nil, &events[i])})
			}
			for n, node := range nodes {
				if err := node.Append(t.Context(), rows[n]); err != nil {
					t.Fatal(err)
				}
			}
			for _, limit := range []int{7, 100} {
				all := pagesOf(t, nodes[1], audit.Query{Limit: limit})
				if len(all) != len(events) {
					t.Fatalf("%d events in pages of %d, want %d", len(all), limit, len(events))
				}
				ids := map[string]bool{}
				for _, e := range all {
					ids[e.ID] = true
				}
				if len(ids) != len(events) {
					t.Errorf("%d different events in pages of %d", len(ids), limit)
				}
			}
			want := 0
			for _, e := range events {
				if e.UserID == "user-4" {
					want++
				}
			}
			if got := pagesOf(t, nodes[2], audit.Query{Limit: 5, User: "user-4"}); len(got) != want {
				t.Errorf("%d events of the user, want %d", len(got), want)
			}
			if n, err := nodes[0].Erase(t.Context(), "user-4"); n != int64(want) || err != nil {
				t.Errorf("erased %d of %d on all nodes: %v", n, want, err)
			}
		})
	}
}

func pagesOf(t *testing.T, s audit.Store, q audit.Query) []audit.Event {
	t.Helper()
	var all []audit.Event
	for {
		page, err := s.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Events...)
		if page.Next == "" {
			return all
		}
		q.Cursor = page.Next
	}
}

// rights are what the ACL user of a fleet needs, as docs/revocation.md has them.
const rights = "~usher:* resetchannels -@all +@read +@write +@scripting +@connection +time +info +wait +cluster|slots +cluster|shards +cluster|myid +cluster|replicas"

func TestStore_DocumentedRightsSuffice(t *testing.T) {
	server := serve(t)
	rules := []any{"ACL", "SETUSER", "usher", "on", ">secret-of-this-test"}
	for _, r := range strings.Fields(rights) {
		rules = append(rules, r)
	}
	if err := redistest.Direct(t, server).Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	s := openAs(t, config.Redis{URL: server.URL(), Username: "usher", Password: "secret-of-this-test", Prefix: "usher:"}, "n", Options{MaxSize: 1, Retention: 100 * 24 * time.Hour})
	if err := s.Append(t.Context(), storetest.Rows(storetest.Events(1500))); err != nil {
		t.Fatal(err)
	}
	_, err := s.Stats(t.Context(), audit.StatsQuery{Query: audit.Query{Since: storetest.Now.Add(-time.Hour), Until: storetest.Now}, By: "reason", Every: audit.CountSpan})
	if err != nil {
		t.Error(err)
	}
	if n, err := s.Erase(t.Context(), "user-4"); n == 0 || err != nil {
		t.Error(n, err)
	}
	pagesOf(t, s, audit.Query{Limit: 100})
	if err := s.trim(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStore_EverythingExpires(t *testing.T) {
	server := serve(t)
	s := openAs(t, config.Redis{URL: server.URL(), Prefix: "usher:"}, "n", Options{Retention: 48 * time.Hour, Now: time.Now})
	events := storetest.Events(500)
	for i := range events {
		events[i].Time = time.Now().Add(time.Duration(i-500) * time.Second)
	}
	if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	client := redistest.Direct(t, server)
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	stay := []string{"usher:audit:hours", "usher:audit:seed", "usher:audit:sizes"}
	for _, key := range keys {
		ttl := client.TTL(t.Context(), key).Val()
		if !slices.Contains(stay, key) && (ttl <= 0 || ttl > 50*time.Hour) {
			t.Errorf("%s expires in %v", key, ttl)
		}
	}
	client.Expire(t.Context(), "usher:audit:last:n", time.Minute)
	if err := s.trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ttl := client.TTL(t.Context(), "usher:audit:last:n").Val(); ttl < 48*time.Hour {
		t.Errorf("the position of a node that runs expires in %v", ttl)
	}
	s.opt.Retention -= 72 * time.Hour // as if it were so much later
	if err := s.trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := client.ZCard(t.Context(), "usher:audit:hours").Val(); left != 0 {
		t.Errorf("%d hours are remembered that have expired", left)
	}
}

func TestStore_ShorterRetentionHoldsForWhatIsThere(t *testing.T) {
	server := serve(t)
	c := config.Redis{URL: server.URL(), Prefix: "usher:"}
	const day = 24 * time.Hour
	events := storetest.Events(2)
	events[0].Time, events[0].UserID = time.Now().Add(-60*day), "findme-7731"
	events[1].Time, events[1].UserID = time.Now().Add(-20*day), "findme-7732"
	long := openAs(t, c, "n", Options{Retention: 90 * day, Now: time.Now})
	if err := long.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	client := redistest.Direct(t, server)
	if !dumped(t, client, "7731") {
		t.Fatal("the test does not see what it looks for")
	}
	short := openAs(t, c, "n", Options{Retention: 30 * day, Now: time.Now})
	if err := short.trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if gone, hour := dumped(t, client, "7731"), hourOf(audit.FirstK(events[0].Time)); gone || len(client.Keys(t.Context(), short.key(place{hour, "n"}, "*")).Val()) > 0 {
		t.Error("Redis keeps what is past the retention of now")
	}
	if all := pagesOf(t, short, audit.Query{Limit: 10}); len(all) != 1 || all[0].UserID != events[1].UserID {
		t.Errorf("%+v are left", all)
	}
}

func TestStore_TrimsAllowedFirstAndTheOldestFirst(t *testing.T) {
	s := openAs(t, config.Redis{URL: serve(t).URL(), Prefix: redistest.Prefix()}, "n", Options{})
	if err := s.Append(t.Context(), storetest.Rows(storetest.Events(4000))); err != nil { // eleven hours
		t.Fatal(err)
	}
	for h := int64(0); h < 12; h++ { // what the node does every minute
		if err := s.writeSizeOf(t.Context(), place{firstHour() + h, "n"}); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := s.sizes(t.Context())
	if err != nil || len(parts) < 11 {
		t.Fatal(len(parts), err)
	}
	var total int64
	for _, p := range parts {
		total += p.allowed + p.other
	}
	oldest := func(v audit.Verdict) time.Time {
		all := pagesOf(t, s, audit.Query{Limit: 1000, Verdict: v, Kind: audit.Decision})
		return all[len(all)-1].Time
	}
	s.opt.MaxSize = total * 9 / 10
	if err := s.trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, d := oldest(audit.Allow), oldest(audit.Deny); !a.After(d) {
		t.Errorf("the oldest allow is of %v, the oldest deny of %v: allows were to go first", a, d)
	}
	s.opt.MaxSize = total / 4
	if err := s.trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := oldest(audit.Deny); d.Before(storetest.Now.Add(-8 * time.Hour)) {
		t.Errorf("denies of %v are left", d)
	}
	if page, err := s.Query(t.Context(), audit.Query{Limit: 1}); err != nil || len(page.Events) == 0 {
		t.Errorf("the newest hour is gone: %v", err)
	}
}

func TestStore_TrimsARedisThatIsFull(t *testing.T) {
	server := serve(t, "--maxmemory-policy", "noeviction")
	s := openAs(t, config.Redis{URL: server.URL(), Prefix: redistest.Prefix()}, "n", Options{})
	if err := s.Append(t.Context(), storetest.Rows(storetest.Events(4000))); err != nil {
		t.Fatal(err)
	}
	for h := int64(0); h < 12; h++ {
		if err := s.writeSizeOf(t.Context(), place{firstHour() + h, "n"}); err != nil {
			t.Fatal(err)
		}
	}
	oldest := place{hourOf(audit.FirstK(storetest.Events(4000)[0].Time)), "n"}
	s.opt.MaxSize = 1
	client := redistest.Direct(t, server)
	limit := func(bytes string) {
		if err := client.ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	if err := s.trim(t.Context()); err == nil || strings.Count(err.Error(), "OOM") != 1 {
		t.Fatalf("Redis was to be full, and to be said so once: %v", err)
	}
	if n := client.Exists(t.Context(), s.stream(oldest, classAllowed), s.stream(oldest, classOther)).Val(); n != 0 {
		t.Error("nothing is deleted in a full Redis")
	}
	limit("0")
	if err := s.trim(t.Context()); err != nil {
		t.Error(err)
	}
	if page, err := s.Query(t.Context(), audit.Query{Limit: 1}); err != nil || len(page.Events) == 0 {
		t.Errorf("the newest hour is gone: %v", err)
	}
}

func firstHour() int64 { return storetest.Now.Add(-12*time.Hour).UnixMilli() / hourMillis }

func TestStore_ErasedBytesAreGone(t *testing.T) {
	server := serve(t)
	s := openAs(t, config.Redis{URL: server.URL(), Prefix: "usher:"}, "n", Options{})
	events := storetest.Events(1200)
	for i := range events {
		if i%100 == 3 {
			events[i].UserID = "findme-7731"
		}
	}
	if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	client := redistest.Direct(t, server)
	if !dumped(t, client, "7731") {
		t.Fatal("the test does not see what it looks for")
	}
	if n, err := s.Erase(t.Context(), "findme-7731"); n != 12 || err != nil {
		t.Fatal(n, err)
	}
	if dumped(t, client, "7731") {
		t.Error("Redis still has the user")
	}
	last, err := s.Last(t.Context())
	if err != nil || last == 0 {
		t.Fatal(last, err)
	}
	if n := len(pagesOf(t, s, audit.Query{Limit: 1000})); n != 1188 {
		t.Errorf("%d events are left, want 1188", n)
	}
}

func TestFollow_SeesOthersBesideAClockThatIsAhead(t *testing.T) {
	c := config.Redis{URL: serve(t).URL(), Prefix: "usher:"}
	ahead, right := openAs(t, c, "ahead", Options{Now: time.Now}), openAs(t, c, "right", Options{Now: time.Now})
	put := func(s *Store, at time.Time) {
		if err := s.Append(t.Context(), storetest.Rows([]audit.Event{{Time: at, ID: audit.NewID(at), Kind: audit.Decision, Verdict: audit.Allow, UserID: s.opt.Writer}})); err != nil {
			t.Fatal(err)
		}
	}
	put(ahead, time.Now().Add(3*time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen, ended := make(chan audit.Event, 1000), make(chan error, 1)
	go func() { ended <- ahead.Follow(ctx, audit.Query{}, func(e audit.Event) error { seen <- e; return nil }) }()
	// What comes after it has begun is shown, which no event tells: events are sent until both have been seen.
	want := map[string]bool{"ahead": true, "right": true}
	eventually(t, "events of both nodes are shown", func() bool {
		put(ahead, time.Now().Add(3*time.Hour))
		put(right, time.Now())
		for {
			select {
			case e := <-seen:
				delete(want, e.UserID)
			default:
				return len(want) == 0
			}
		}
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// dumped says that some key's stored form has the text.
func dumped(t *testing.T, client *redis.Client, text string) bool {
	t.Helper()
	for _, key := range client.Keys(t.Context(), "*").Val() {
		if strings.Contains(client.Dump(t.Context(), key).Val(), text) {
			return true
		}
	}
	return false
}

// As a machine that was cloned has it, with a node that ran there before.
func TestStore_SaysThatAnotherNodeWritesUnderItsName(t *testing.T) {
	c := config.Redis{URL: serve(t).URL(), Prefix: "usher:"}
	var log bytes.Buffer
	one := openAs(t, c, "node-a", Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	other := openAs(t, c, "node-a", Options{})
	rows := storetest.Rows(storetest.Events(8))
	for i, s := range []*Store{one, one, one, other, one, other, one} {
		err := s.Append(t.Context(), rows[i:i+1])
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Count(log.String(), "another node writes its audit events under this one's name"); said != min(i/4, 1) {
			t.Errorf("after %d rows it has said so %d times: %s", i+1, said, log.String())
		}
	}
}

// A Redis without a log of its own comes back empty: what was in it is gone, and what comes then is found by everybody.
func TestStore_WhatComesAfterRedisWasEmptiedIsFound(t *testing.T) {
	c := config.Redis{URL: serve(t).URL(), Prefix: "usher:"}
	writer := openAs(t, c, "node-a", Options{})
	events := storetest.Events(20)
	rows := make([]audit.Row, len(events))
	for i := range events {
		events[i].UserID = "u"
		rows[i] = audit.Row{K: audit.FirstK(storetest.Now.Add(time.Duration(i-20) * time.Millisecond)), Data: audit.Pack(nil, &events[i])}
	}
	if err := writer.Append(t.Context(), rows[:10]); err != nil {
		t.Fatal(err)
	}
	if err := writer.client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := writer.Append(t.Context(), rows[10:]); !errors.Is(err, audit.ErrLost) {
		t.Errorf("what Redis has lost is not told: %v", err)
	}
	if err := writer.Append(t.Context(), rows[10:]); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*Store{"the writer": writer, "a newcomer": openAs(t, c, "", Options{})} {
		for _, q := range []audit.Query{{Limit: 100}, {Limit: 100, User: "u"}} {
			if all := pagesOf(t, s, q); len(all) != 10 {
				t.Errorf("%s finds %d of 10 events by user %q", name, len(all), q.User)
			}
		}
	}
}

func TestPipeline_RedisRestartLosesAndDoublesNothing(t *testing.T) {
	server := serve(t, "--appendfsync", "always")
	s := openAs(t, config.Redis{URL: server.URL(), Prefix: "usher:"}, "n", Options{Now: time.Now})
	p, err := audit.Open(t.Context(), s, audit.Options{Dir: t.TempDir(), SpillMax: 64 << 20, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	sent := 0
	record := func(n int) {
		for range n {
			now := time.Now()
			p.Record(audit.Event{Time: now, ID: audit.NewID(now), Kind: audit.Decision, Verdict: audit.Allow, UserID: "u", LatencyUS: int64(sent)})
			sent++
		}
	}
	record(2000)
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	record(3000)
	server.Kill()
	record(3000)
	if err := server.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	all := pagesOf(t, s, audit.Query{Limit: 1000})
	if len(all) != sent {
		t.Errorf("%d events, %d were recorded", len(all), sent)
	}
	for i, e := range all {
		if e.LatencyUS != int64(sent-1-i) {
			t.Fatalf("event %d is number %d: out of order", i, e.LatencyUS)
		}
	}
	counts, err := s.Stats(t.Context(), audit.StatsQuery{Query: audit.Query{Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}, By: "reason", Every: audit.CountSpan})
	var counted int64
	for _, c := range counts {
		counted += c.Count
	}
	if err != nil || counted != int64(sent) {
		t.Errorf("%d are counted, %d were recorded: %v", counted, sent, err)
	}
}
