package redisstore_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

// serve starts a Redis of the test's own.
func serve(t testing.TB, args ...string) *redisserver.Redis {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	server, err := redisserver.Start(ctx, t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	return server
}

func connect(t testing.TB, c config.Redis) *redisconn.Client {
	t.Helper()
	client, err := redisconn.Open(&c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// fresh is a prefix that no other test has.
var fresh = func() func() string {
	var n atomic.Int64
	return func() string { return fmt.Sprintf("usher-%d:", n.Add(1)) }
}()

var few = redisstore.Options{KeepChanges: storetest.KeepChanges}

func contract(t *testing.T, c config.Redis, empty func(t *testing.T)) {
	storetest.Run(t, func(t *testing.T) storetest.Backing {
		c := c
		c.Prefix = fresh()
		return storetest.Backing{
			Open:  func(t *testing.T) revocation.Store { return redisstore.Open(connect(t, c), few) },
			Empty: empty,
			Beats: true,
		}
	})
}

func TestStore_KeepsTheContractOnOneServer(t *testing.T) {
	server := serve(t)
	contract(t, config.Redis{URL: server.URL()}, func(t *testing.T) {
		if err := direct(t, server).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStore_KeepsTheContractOnACluster(t *testing.T) {
	c := serveCluster(t)
	contract(t, c, func(t *testing.T) {
		cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Cluster.Addresses})
		defer cluster.Close()
		err := cluster.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error { return node.FlushAll(ctx).Err() })
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestClaim_HoldsWhereTheClockOfRedisIsAhead(t *testing.T) {
	behind := func() time.Time { return time.Now().Add(-time.Hour) }
	s := redisstore.Open(connect(t, config.Redis{URL: serve(t).URL(), Prefix: "usher:"}), redisstore.Options{Now: behind})
	m := revocation.Mark{Key: storetest.JTI(t, "a").Key(), Until: behind().Add(time.Minute)}
	for _, m.Owner = range []string{"one", "two"} {
		if c, err := s.Claim(t.Context(), m); err != nil || c.Owner != "one" || c.First != (m.Owner == "one") {
			t.Errorf("the claim of %s is answered %+v, %v", m.Owner, c, err)
		}
	}
}
