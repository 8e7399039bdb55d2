package revoke_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation/redisstore"
)

// fleet is what several verifiers share.
type fleet struct {
	team
	release prosody.Release
	redis   *redisserver.Redis
	dir     string // where Redis keeps its data
}

// eachFleet runs a test on every release, with a Redis.
func eachFleet(t *testing.T, run func(t *testing.T, f *fleet)) {
	t.Helper()
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		dir := t.TempDir()
		server := serveRedis(t, dir)
		run(t, &fleet{at(t, config.Redis{URL: server.URL()}), release, server, dir})
	})
}

// serveRedis starts a Redis and stops it with the test. Its data lies in dir.
func serveRedis(t *testing.T, dir string, args ...string) *redisserver.Redis {
	t.Helper()
	server, err := redisserver.Start(e2e.Context(t), dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// comeBack starts a Redis again that was killed.
func comeBack(t *testing.T, server *redisserver.Redis) {
	t.Helper()
	if err := server.Restart(e2e.Context(t)); err != nil {
		t.Fatal(err)
	}
}

// on is the config of a verifier on a Redis.
func on(server *redisserver.Redis) string {
	return fmt.Sprintf("%sredis: {url: %q}\n", audited, server.URL())
}

// at is a security team that writes into a Redis.
func at(t *testing.T, c config.Redis) team {
	t.Helper()
	c.Prefix = "usher:"
	client, err := redisconn.Open(&c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return team{redisstore.Open(client, redisstore.Options{})}
}

// asking starts a Prosody alone, which asks verifiers in this order, and stands on the first of them otherwise.
func asking(t *testing.T, release prosody.Release, o team, verifiers ...*verifier.Verifier) *scene {
	t.Helper()
	repo, err := proc.RepoRoot()
	if err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, v := range verifiers {
		urls = append(urls, fmt.Sprintf("%q", v.URL))
	}
	server := e2e.StartProsody(t, prosody.Options{
		Release: release, Domain: e2e.Domain, Authentication: "usher", LogLevel: "info",
		PluginPaths: []string{filepath.Join(repo, "lua")}, MUCModules: []string{"muc_usher"},
		Global: "usher_url = { " + strings.Join(urls, "; ") + " }",
	})
	s := &scene{&e2e.Stack{Prosody: server, Verifier: verifiers[0]}, o}
	s.Lua(t, e2e.SecureTCP, nil)
	return s
}

// emptied takes everything out of a Redis.
func emptied(t *testing.T, server *redisserver.Redis) {
	t.Helper()
	client, err := redisconn.Open(&config.Redis{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
}

// copyAll makes one folder what another is.
func copyAll(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
