package redisstore_test

import (
	"testing"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

func BenchmarkLoadAMillion(b *testing.B) {
	server := serve(b, "--appendfsync", "everysec")
	storetest.BenchmarkLoad(b, func() revocation.Store {
		return redisstore.Open(connect(b, config.Redis{URL: server.URL(), Prefix: "usher:"}), redisstore.Options{})
	})
	info := direct(b, server).Info(b.Context(), "memory").Val()
	b.Logf("Redis: %s", line(info, "used_memory_human"))
}

func BenchmarkRevoke(b *testing.B) {
	server := serve(b, "--appendfsync", "everysec")
	storetest.BenchmarkRevoke(b, redisstore.Open(connect(b, config.Redis{URL: server.URL(), Prefix: "usher:"}), redisstore.Options{}))
}
