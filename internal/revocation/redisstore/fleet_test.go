package redisstore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// watched is a master with two replicas, and three Sentinels that watch over them.
type watched struct {
	servers []*redisserver.Redis // the first began as master
	config  config.Redis
}

// atOnce lets replicas begin without the five seconds in which a master waits for more of them.
var atOnce = []string{"--repl-diskless-sync-delay", "0"}

const masterName = "usher"

func serveSentinel(t testing.TB) watched {
	t.Helper()
	master := serve(t, atOnce...)
	w := watched{servers: []*redisserver.Redis{master}}
	for range 2 {
		w.servers = append(w.servers, serve(t, append(atOnce, "--replicaof", "127.0.0.1 "+fmt.Sprint(master.Port))...))
	}
	ctx := context.Background()
	client := direct(t, master)
	storetest.Eventually(t, "the replicas follow", func() bool {
		info, err := client.Info(ctx, "replication").Result()
		return err == nil && strings.Count(info, "state=online") == 2
	})
	var addresses []string
	for _, port := range ports(t, 3) {
		startSentinel(t, port, master.Port)
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", port))
	}
	for _, addr := range addresses {
		s := redis.NewSentinelClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { s.Close() })
		storetest.Eventually(t, "the Sentinels know of all", func() bool {
			replicas, _ := s.Replicas(ctx, masterName).Result()
			others, err := s.Sentinels(ctx, masterName).Result()
			return err == nil && len(replicas) == 2 && len(others) == 2
		})
	}
	w.config = config.Redis{Sentinel: &config.Sentinel{Master: masterName, Addresses: addresses}, Prefix: "usher:"}
	return w
}

func startSentinel(t testing.TB, port, master int) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %d 2\n"+
		"sentinel down-after-milliseconds %[3]s 1000\nsentinel failover-timeout %[3]s 5000\nsentinel parallel-syncs %[3]s 2\n",
		port, dir, masterName, master)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := proc.Start("sentinel", exec.Command("redis-server", file, "--sentinel"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the Sentinel at %d said last:\n%s", port, p.Log.Tail(40))
		}
		p.Stop(5 * time.Second)
	})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := p.WaitLine(ctx, "+monitor master"); err != nil {
		t.Fatal(err)
	}
}

// master is the server that the Sentinels name.
func (w watched) master(t testing.TB) *redisserver.Redis {
	t.Helper()
	s := redis.NewSentinelClient(&redis.Options{Addr: w.config.Sentinel.Addresses[0]})
	defer s.Close()
	found, err := s.GetMasterAddrByName(context.Background(), masterName).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range w.servers {
		if fmt.Sprint(server.Port) == found[1] {
			return server
		}
	}
	t.Fatalf("the Sentinels name %v as master, which is none of ours", found)
	return nil
}

// settle waits until both others follow the master again. Sentinels take ten seconds and more to turn an old master that
// came back into a replica.
func (w watched) settle(t testing.TB) {
	t.Helper()
	client := direct(t, w.master(t))
	storetest.Within(t, time.Minute, "the old master follows the new one", func() bool {
		info, err := client.Info(context.Background(), "replication").Result()
		return err == nil && strings.Contains(info, "role:master") && strings.Count(info, "state=online") == 2
	})
}

func line(info, name string) string {
	_, rest, _ := strings.Cut(info, name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}
