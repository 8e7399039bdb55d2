// Package redistest gives tests real Redis servers, and connections to them. All of it ends with the test.
package redistest

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/redisconn"
)

// Serve starts a Redis of the test's own; args are further options of redis-server.
func Serve(t testing.TB, args ...string) *redisserver.Redis {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	server, err := redisserver.Start(ctx, t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	return server
}

// Cluster starts a Redis Cluster of so many servers and waits until it is whole.
func Cluster(t testing.TB, servers int, args ...string) config.Redis {
	t.Helper()
	bus, err := proc.FreePorts(servers)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	const slots = 16384
	var c config.Cluster
	var nodes []*redis.Client
	for n := range servers {
		server := Serve(t, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", fmt.Sprint(bus[n])}, args...)...)
		node := Direct(t, server)
		nodes, c.Addresses = append(nodes, node), append(c.Addresses, server.Address())
		if err := node.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", n*slots/servers, (n+1)*slots/servers-1).Err(); err != nil {
			t.Fatal(err)
		}
		if err := nodes[0].Do(ctx, "CLUSTER", "MEET", "127.0.0.1", server.Port, bus[n]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range nodes {
		for {
			info, err := node.ClusterInfo(ctx).Result()
			if err != nil {
				t.Fatalf("the cluster is not whole: %v", err)
			}
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprint("cluster_known_nodes:", servers)) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return config.Redis{Cluster: &c}
}

// Direct talks to one server, past everything that finds masters.
func Direct(t testing.TB, r *redisserver.Redis) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: r.Address()})
	t.Cleanup(func() { client.Close() })
	return client
}

// Connect connects as a node does.
func Connect(t testing.TB, c config.Redis) *redisconn.Client {
	t.Helper()
	client, err := redisconn.Open(&c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

var prefixes atomic.Int64

// Prefix is one for keys that no other test has.
func Prefix() string { return fmt.Sprintf("usher-%d:", prefixes.Add(1)) }
