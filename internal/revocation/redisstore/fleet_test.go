package redisstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

func ports(t testing.TB, n int) []int {
	t.Helper()
	ports, err := proc.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

func address(r *redisserver.Redis) string { return fmt.Sprintf("127.0.0.1:%d", r.Port) }

// direct talks to one server, past everything that finds masters.
func direct(t testing.TB, r *redisserver.Redis) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: address(r)})
	t.Cleanup(func() { c.Close() })
	return c
}

// serveCluster starts a Redis Cluster of three servers.
func serveCluster(t testing.TB) config.Redis {
	t.Helper()
	bus := ports(t, 3)
	var nodes []*redisserver.Redis
	for n := range 3 {
		nodes = append(nodes, serve(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", fmt.Sprint(bus[n])))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	const slots = 16384
	first := direct(t, nodes[0])
	for n, node := range nodes {
		if err := direct(t, node).Do(ctx, "CLUSTER", "ADDSLOTSRANGE", n*slots/3, (n+1)*slots/3-1).Err(); err != nil {
			t.Fatal(err)
		}
		if err := first.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", node.Port, bus[n]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var c config.Cluster
	for _, node := range nodes {
		client := direct(t, node)
		storetest.Eventually(t, "the cluster is whole", func() bool {
			info, err := client.ClusterInfo(ctx).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
		c.Addresses = append(c.Addresses, address(node))
	}
	return config.Redis{Cluster: &c}
}

// serveWatched starts a master with two replicas, and three Sentinels that watch over them.
func serveWatched(t testing.TB) (*redisserver.Watched, config.Redis) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w, err := redisserver.StartWatched(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the Sentinels said last:\n%s", w.Log())
		}
		w.Stop()
	})
	return w, config.Redis{Sentinel: &config.Sentinel{Master: redisserver.MasterName, Addresses: w.Addresses}, Prefix: "usher:"}
}

func line(info, name string) string {
	_, rest, _ := strings.Cut(info, name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}
