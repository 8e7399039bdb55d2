// Package redisserver runs a real Redis on a free loopback port, for tests.
package redisserver

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/usher-im/usher/internal/e2e/proc"
)

// Redis is a running redis-server.
type Redis struct {
	*proc.Process
	Port int
	dir  string
	args []string
}

// Start returns when Redis takes connections. Data lies in dir, is written to disk at each change, and is there
// again after Restart; args are further options of redis-server, such as "--requirepass", "…".
func Start(ctx context.Context, dir string, args ...string) (*Redis, error) {
	ports, err := proc.FreePorts(1)
	if err != nil {
		return nil, err
	}
	r := &Redis{Port: ports[0], dir: dir, args: args}
	return r, r.Restart(ctx)
}

// Restart starts Redis again on its port and data; it must have ended before.
func (r *Redis) Restart(ctx context.Context) error {
	fixed := []string{"--port", fmt.Sprint(r.Port), "--bind", "127.0.0.1", "--dir", r.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"}
	process, err := proc.Start("redis-server", exec.Command("redis-server", append(fixed, r.args...)...))
	if err != nil {
		return err
	}
	r.Process = process
	if _, err := r.WaitLine(ctx, "Ready to accept connections"); err != nil {
		_ = r.Stop()
		return err
	}
	return nil
}

// Address is where it listens.
func (r *Redis) Address() string { return fmt.Sprintf("127.0.0.1:%d", r.Port) }

// URL is the address in the form that the config takes.
func (r *Redis) URL() string { return "redis://" + r.Address() + "/0" }

// Stop ends Redis and waits for it.
func (r *Redis) Stop() error { return r.Process.Stop(5 * time.Second) }
