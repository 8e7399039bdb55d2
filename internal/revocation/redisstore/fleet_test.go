package redisstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e/redisserver"
)

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
