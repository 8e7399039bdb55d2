package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

// until gives a revocation that goes at a time.
func until(t *testing.T, jti string, at time.Time) revocation.Revocation {
	r := storetest.JTI(t, jti)
	r.ExpiresAt = at.UTC().Truncate(time.Millisecond)
	return r
}

func revokeAll(t *testing.T, s *redisstore.Store, rs ...revocation.Revocation) {
	t.Helper()
	if _, err := s.Revoke(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
}

// snapshotOf reads a snapshot, in which nothing stands twice.
func snapshotOf(t *testing.T, s *redisstore.Store) map[revocation.Key]revocation.Entry {
	t.Helper()
	found := map[revocation.Key]revocation.Entry{}
	err := s.Snapshot(t.Context(), func(entries []revocation.Entry) error {
		for _, e := range entries {
			if old, twice := found[e.Key]; twice {
				t.Errorf("given twice: %+v, %+v", old, e)
			}
			found[e.Key] = e
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func gives(t *testing.T, s *redisstore.Store, want []revocation.Revocation) {
	t.Helper()
	found := snapshotOf(t, s)
	if len(found) != len(want) {
		t.Errorf("the snapshot has %d entries of %d", len(found), len(want))
	}
	for _, r := range want {
		if got := found[r.Key()]; got != r.Entry() {
			t.Fatalf("the snapshot has %+v, want %+v", got, r.Entry())
		}
	}
}

// agree fails where the order has other entries than the index: a node that starts would not know of some.
func agree(t *testing.T, client *redis.Client) {
	t.Helper()
	index, err := client.HGetAll(t.Context(), "usher:{revocation}:index").Result()
	if err != nil {
		t.Fatal(err)
	}
	order, err := client.ZRange(t.Context(), "usher:{revocation}:order", 0, -1).Result()
	if err != nil || len(order) != len(index) {
		t.Fatalf("the order has %d entries, the index %d: %v", len(order), len(index), err)
	}
	for _, member := range order {
		if index[member[:16]] != member[16:] {
			t.Fatalf("the order has %x, the index %x under its id", member, index[member[:16]])
		}
	}
}

func TestSnapshot_GivesAllOfManyPages(t *testing.T) {
	server := redistest.Serve(t, "--appendonly", "no")
	s := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), few)
	gives(t, s, nil)
	var standing []revocation.Revocation
	for _, many := range []int{1, 999, 1, 7_000, 10_500} { // the first entry, a page, an entry more, and several rounds of pages
		var more []revocation.Revocation
		for i := range many {
			more = append(more, storetest.JTI(t, fmt.Sprint(len(standing)+i)))
		}
		revokeAll(t, s, more...)
		standing = append(standing, more...)
		gives(t, s, standing)
	}
	for i := range 3_000 { // holes, in which whole pages would have no entry
		if _, _, err := s.Lift(t.Context(), standing[i+1_000].Key(), "cred:lifter"); err != nil {
			t.Fatal(err)
		}
	}
	gives(t, s, append(standing[:1_000:1_000], standing[4_000:]...))
	agree(t, redistest.Direct(t, server))
}

func TestOrder_HasTheIndexsEntriesWhateverIsWritten(t *testing.T) {
	server := redistest.Serve(t, "--appendonly", "no")
	client := redistest.Direct(t, server)
	s := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), few)
	now := time.Now()
	long := now.Add(time.Hour)
	revokeAll(t, s, until(t, "a", long), until(t, "b", long), until(t, "c", long), until(t, "gone", now.Add(-revocation.ExpiredFor-time.Hour)), until(t, "again", now.Add(-time.Hour)))
	agree(t, client)
	revokeAll(t, s, until(t, "a", long.Add(time.Hour)), until(t, "again", long)) // one is widened, one had expired
	agree(t, client)
	if _, _, err := s.Lift(t.Context(), storetest.JTI(t, "b").Key(), "cred:lifter"); err != nil {
		t.Fatal(err)
	}
	agree(t, client)
	restored, err := s.Restore(t.Context(), []revocation.Lost{
		{Entry: until(t, "a", long).Entry()}, {Entry: until(t, "b", long).Entry()}, {Entry: until(t, "d", long).Entry()}})
	if err != nil || restored != 1 {
		t.Fatalf("restored %d, %v", restored, err)
	}
	agree(t, client)
	if _, err := s.State(t.Context(), revocation.Identity{Epoch: "e"}, ""); err != nil { // clears away what has expired
		t.Fatal(err)
	}
	agree(t, client)
	gives(t, s, []revocation.Revocation{until(t, "a", long.Add(time.Hour)), until(t, "c", long), until(t, "again", long), until(t, "d", long)})

	page, err := s.List(t.Context(), revocation.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, r := range page.Items {
		listed = append(listed, r.Key().String())
	}
	want := fmt.Sprint([]string{
		storetest.JTI(t, "d").Key().String(), storetest.JTI(t, "again").Key().String(), storetest.JTI(t, "c").Key().String(), storetest.JTI(t, "a").Key().String()})
	if fmt.Sprint(listed) != want {
		t.Errorf("the list is %v, want %v: what is widened keeps its place, what had expired is new", listed, want)
	}
}

func TestSnapshot_ReadsTheIndexWhereTheOrderIsNotWhole(t *testing.T) {
	server := redistest.Serve(t, "--appendonly", "no")
	client := redistest.Direct(t, server)
	s := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), few)
	const order = "usher:{revocation}:order"
	var standing []revocation.Revocation
	for i := range 2_500 {
		standing = append(standing, storetest.JTI(t, fmt.Sprint(i)))
	}
	revokeAll(t, s, standing...)
	missing := func() error { return client.ZRemRangeByRank(t.Context(), order, 3, 3).Err() }
	foreign := func() error { return client.ZAdd(t.Context(), order, redis.Z{Score: 4, Member: "no entry"}).Err() }
	none := func() error { return client.Del(t.Context(), order).Err() }
	for _, damage := range []func() error{missing, foreign, none} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		gives(t, s, standing)
	}
}
