package redisstore

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/redisconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a Redis of the test's own.
func serve(t *testing.T, args ...string) *redisserver.Redis {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	server, err := redisserver.Start(ctx, t.TempDir(), append([]string{"--appendfsync", "everysec"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	return server
}

func connect(t *testing.T, c config.Redis) *redisconn.Client {
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

func openAs(t *testing.T, c config.Redis, writer string, opt Options) *Store {
	t.Helper()
	opt.Writer = writer
	if opt.Now == nil {
		opt.Now = func() time.Time { return storetest.Now }
	}
	s := Open(connect(t, c), opt)
	t.Cleanup(func() { s.Close() })
	return s
}

func contract(t *testing.T, c config.Redis) {
	storetest.Run(t, func(t *testing.T, now time.Time) audit.Store {
		c := c
		c.Prefix = fresh()
		return openAs(t, c, "node-1", Options{})
	})
}

func TestStore_KeepsTheContractOnOneServer(t *testing.T) {
	contract(t, config.Redis{URL: serve(t).URL()})
}

func TestStore_SaysInOneSentenceThatRedisIsGone(t *testing.T) {
	server := serve(t)
	s := openAs(t, config.Redis{URL: server.URL(), Prefix: fresh()}, "n", Options{})
	server.Kill()
	err := s.Append(t.Context(), storetest.Rows(storetest.Events(1)))
	if err == nil || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "0 bytes") {
		t.Errorf("%q", err)
	}
}
