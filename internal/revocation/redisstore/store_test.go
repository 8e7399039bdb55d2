package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

var few = redisstore.Options{KeepChanges: storetest.KeepChanges}

func contract(t *testing.T, c config.Redis, empty func(t *testing.T)) {
	storetest.Run(t, func(t *testing.T) storetest.Backing {
		c := c
		c.Prefix = redistest.Prefix()
		return storetest.Backing{
			Open:  func(t *testing.T) revocation.Store { return redisstore.Open(redistest.Connect(t, c), few) },
			Empty: empty,
			Beats: true,
		}
	})
}

func TestStore_KeepsTheContractOnOneServer(t *testing.T) {
	server := redistest.Serve(t)
	contract(t, config.Redis{URL: server.URL()}, func(t *testing.T) {
		if err := redistest.Direct(t, server).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStore_KeepsTheContractOnACluster(t *testing.T) {
	c := redistest.Cluster(t, 3)
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
	s := redisstore.Open(redistest.Connect(t, config.Redis{URL: redistest.Serve(t).URL(), Prefix: "usher:"}), redisstore.Options{Now: behind})
	m := revocation.Mark{Key: storetest.JTI(t, "a").Key(), Until: behind().Add(time.Minute)}
	for _, m.Owner = range []string{"one", "two"} {
		if c, err := s.Claim(t.Context(), m); err != nil || c.Owner != "one" || c.First != (m.Owner == "one") {
			t.Errorf("the claim of %s is answered %+v, %v", m.Owner, c, err)
		}
	}
}
