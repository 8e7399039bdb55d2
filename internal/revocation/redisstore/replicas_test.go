package redisstore

import (
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn"
)

func connected(t *testing.T, c config.Redis) *Store {
	t.Helper()
	client, err := redisconn.Open(&c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return Open(client, Options{})
}

func TestReplicas_OneThatASingleServerLostIsMissedFromThenOn(t *testing.T) {
	s := connected(t, config.Redis{URL: "redis://127.0.0.1:1/0"})
	for _, connected := range []string{"1", "0"} {
		s.asked = time.Now().Add(-2 * replicasFor) // what was known is not forgotten with time
		if n, err := s.replicas(t.Context(), redisconn.Info{"connected_slaves": connected}); err != nil || n != 1 {
			t.Errorf("with %s connected %d replicas are counted, %v", connected, n, err)
		}
	}
}
