package redisstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

// Redis' clock goes back when it is set right, or with a failover to a server whose clock is behind.
func TestClaim_ThatLiesAheadIsNotWithinTheGrace(t *testing.T) {
	server := redistest.Serve(t)
	s := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), redisstore.Options{})
	m := revocation.Mark{Key: storetest.JTI(t, "a").Key(), Owner: "thief", Until: time.Now().Add(3 * time.Hour)}
	mark := fmt.Sprintf("%d:first", time.Now().Add(time.Hour).UnixMilli())
	if err := redistest.Direct(t, server).Set(t.Context(), "usher:replay:"+m.Key.String(), mark, 3*time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Claim(t.Context(), m); err != nil || c.Owner != "first" || c.Admits("thief", time.Minute) {
		t.Errorf("an hour ahead counts as within the grace: %+v, %v", c, err)
	}
}

func TestClaim_OfAMarkThatANewerUsherWroteIsAnError(t *testing.T) {
	server := redistest.Serve(t)
	s := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), redisstore.Options{})
	m := revocation.Mark{Key: storetest.JTI(t, "a").Key(), Owner: "session", Until: time.Now().Add(time.Hour)}
	key := "usher:replay:" + m.Key.String()
	if err := redistest.Direct(t, server).Set(t.Context(), key, "2;session", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Claim(t.Context(), m); err == nil || !strings.Contains(err.Error(), key+" is none that this usher writes") {
		t.Errorf("it is answered %+v, %v", c, err)
	}
}
