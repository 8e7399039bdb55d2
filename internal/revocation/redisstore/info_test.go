package redisstore_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation/redisstore"
)

func TestInfo_OfAClusterIsThatOfTheServerWithTheRevocations(t *testing.T) {
	c := redistest.Cluster(t, 3)
	client := redistest.Connect(t, c)
	s := redisstore.Open(client, redisstore.Options{})
	if memory, err := client.Memory(t.Context()); memory != 0 || err != nil {
		t.Errorf("without a bound there is room for %d: %v", memory, err)
	}
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Cluster.Addresses})
	defer cluster.Close()
	set := func(node *redis.Client, name, value string) {
		t.Helper()
		if err := node.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	keeper, err := cluster.MasterForKey(t.Context(), "{revocation}")
	if err != nil {
		t.Fatal(err)
	}
	err = cluster.ForEachMaster(t.Context(), func(_ context.Context, node *redis.Client) error {
		set(node, "maxmemory", "64mb")
		set(node, "appendonly", "yes")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	set(keeper, "appendonly", "no")
	if info, err := s.Info(t.Context()); err != nil || info.Durable() {
		t.Errorf("the server with the revocations is said to write a log: %v", err)
	}
	if memory, err := client.Memory(t.Context()); memory != 3*64<<20 || err != nil {
		t.Errorf("there is room for %d: %v", memory, err)
	}
}
