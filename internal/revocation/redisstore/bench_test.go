package redisstore_test

import (
	"testing"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

func BenchmarkLoadAMillion(b *testing.B) {
	server := redistest.Serve(b, "--appendfsync", "everysec")
	storetest.BenchmarkLoad(b, func() revocation.Store {
		return redisstore.Open(redistest.Connect(b, config.Redis{URL: server.URL(), Prefix: "usher:"}), redisstore.Options{})
	})
	info := redistest.Direct(b, server).Info(b.Context(), "memory").Val()
	b.Logf("Redis: %s", line(info, "used_memory_human"))
}

func BenchmarkRevoke(b *testing.B) {
	server := redistest.Serve(b, "--appendfsync", "everysec")
	storetest.BenchmarkRevoke(b, redisstore.Open(redistest.Connect(b, config.Redis{URL: server.URL(), Prefix: "usher:"}), redisstore.Options{}))
}
