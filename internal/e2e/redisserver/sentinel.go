package redisserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/e2e/proc"
)

// MasterName is what the Sentinels call the master.
const MasterName = "usher"

// Watched is a master with two replicas, and three Sentinels that watch over them.
type Watched struct {
	Servers   []*Redis // the first began as master
	Addresses []string // of the Sentinels
	sentinels []*proc.Process
}

// atOnce lets replicas begin without the five seconds in which a master waits for more of them.
var atOnce = []string{"--repl-diskless-sync-delay", "0"}

// StartWatched returns when the replicas follow and every Sentinel knows of all. Data lies in folders below dir.
func StartWatched(ctx context.Context, dir string) (*Watched, error) {
	w := &Watched{}
	if err := w.start(ctx, dir); err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}

func (w *Watched) start(ctx context.Context, dir string) error {
	args := atOnce
	for n := range 3 {
		folder := filepath.Join(dir, fmt.Sprint("redis-", n))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		server, err := Start(ctx, folder, args...)
		if err != nil {
			return err
		}
		w.Servers = append(w.Servers, server)
		args = append(atOnce[:len(atOnce):len(atOnce)], "--replicaof", fmt.Sprint("127.0.0.1 ", w.Servers[0].Port))
	}
	if err := w.Settled(ctx); err != nil {
		return err
	}
	ports, err := proc.FreePorts(3)
	if err != nil {
		return err
	}
	for _, port := range ports {
		if err := w.startSentinel(ctx, filepath.Join(dir, fmt.Sprint("sentinel-", port)), port); err != nil {
			return err
		}
	}
	for _, address := range w.Addresses {
		if err := knowsAll(ctx, address); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watched) startSentinel(ctx context.Context, dir string, port int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %d 2\n"+
		"sentinel down-after-milliseconds %[3]s 1000\nsentinel failover-timeout %[3]s 5000\nsentinel parallel-syncs %[3]s 2\n",
		port, dir, MasterName, w.Servers[0].Port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	p, err := proc.Start("sentinel", exec.Command("redis-server", file, "--sentinel"))
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	w.sentinels, w.Addresses = append(w.sentinels, p), append(w.Addresses, address)
	if _, err := p.WaitLine(ctx, "+monitor master"); err != nil {
		return err
	}
	return bearWith(ctx, address)
}

// bearWith keeps a Sentinel in service that the machine has not let run for two seconds: it would do nothing for half a
// minute, and again as often as that happens (+tilt). It also asks servers every second, not every ten, what they are.
func bearWith(ctx context.Context, address string) error {
	s := redis.NewSentinelClient(&redis.Options{Addr: address})
	defer s.Close()
	set := redis.NewStatusCmd(ctx, "SENTINEL", "DEBUG", "TILT-TRIGGER", 60_000, "INFO-PERIOD", 1000)
	return s.Process(ctx, set)
}

func knowsAll(ctx context.Context, address string) error {
	s := redis.NewSentinelClient(&redis.Options{Addr: address})
	defer s.Close()
	return until(ctx, "a Sentinel knows of all", func() bool {
		replicas, _ := s.Replicas(ctx, MasterName).Result()
		others, err := s.Sentinels(ctx, MasterName).Result()
		return err == nil && len(replicas) == 2 && len(others) == 2
	})
}

// Master is the server that the Sentinels name.
func (w *Watched) Master(ctx context.Context) (*Redis, error) {
	if len(w.Addresses) == 0 {
		return w.Servers[0], nil
	}
	s := redis.NewSentinelClient(&redis.Options{Addr: w.Addresses[0]})
	defer s.Close()
	found, err := s.GetMasterAddrByName(ctx, MasterName).Result()
	if err != nil {
		return nil, err
	}
	for _, server := range w.Servers {
		if fmt.Sprint(server.Port) == found[1] {
			return server, nil
		}
	}
	return nil, fmt.Errorf("the Sentinels name %v as master, which is none of ours", found)
}

// Settled waits until both others follow the master. Sentinels take seconds to turn an old master that came back into a
// replica.
func (w *Watched) Settled(ctx context.Context) error {
	return until(ctx, "both replicas follow the master", func() bool {
		master, err := w.Master(ctx)
		if err != nil {
			return false
		}
		client := redis.NewClient(&redis.Options{Addr: master.Address()})
		defer client.Close()
		info, err := client.Info(ctx, "replication").Result()
		return err == nil && strings.Contains(info, "role:master") && strings.Count(info, "state=online") == 2
	})
}

// Log is what the Sentinels printed last.
func (w *Watched) Log() string {
	var b strings.Builder
	for _, p := range w.sentinels {
		b.WriteString(p.Log.Tail(15) + "\n")
	}
	return b.String()
}

// Stop ends all of them.
func (w *Watched) Stop() {
	for _, p := range w.sentinels {
		_ = p.Stop(5 * time.Second)
	}
	for _, server := range w.Servers {
		_ = server.Stop()
	}
}

// until asks again and again: Redis tells nobody when this comes true.
func until(ctx context.Context, what string, is func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it never came about that %s: %w", what, ctx.Err())
		}
	}
	return nil
}
