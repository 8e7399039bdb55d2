package redisstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

func TestAcknowledged_MeansThatTheLogIsOn(t *testing.T) {
	server := serve(t)
	s := redisstore.Open(connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), few)
	revoke := func(jti string) bool {
		t.Helper()
		w, err := s.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, jti)})
		if err != nil {
			t.Fatal(err)
		}
		return w.Replicated
	}
	if !revoke("a") {
		t.Error("with its log on and no replica the store did not acknowledge")
	}
	if err := direct(t, server).ConfigSet(t.Context(), "appendonly", "no").Err(); err != nil {
		t.Fatal(err)
	}
	if revoke("b") {
		t.Error("without a log the store acknowledged")
	}
	if st, err := s.State(t.Context(), revocation.Identity{Epoch: "e"}, ""); err != nil || st.Durable {
		t.Errorf("without a log the store's state is %+v, %v", st, err)
	}
}

func TestAcknowledged_MeansThatAReplicaHasItWhereThereIsOne(t *testing.T) {
	master := serve(t, "--repl-diskless-sync-delay", "0") // else it waits five seconds for more replicas
	replica := serve(t, "--replicaof", "127.0.0.1 "+fmt.Sprint(master.Port))
	client := direct(t, master)
	storetest.Eventually(t, "the replica follows", func() bool {
		info, err := client.Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "state=online")
	})
	s := redisstore.Open(connect(t, config.Redis{URL: master.URL(), Prefix: "usher:"}), redisstore.Options{ReplicaWait: time.Second})
	r := storetest.JTI(t, "a")
	w, err := s.Revoke(t.Context(), []revocation.Revocation{r})
	if err != nil || !w.Replicated {
		t.Fatalf("with a replica: %+v, %v", w, err)
	}
	if n, err := direct(t, replica).HLen(t.Context(), "usher:{revocation}:index").Result(); err != nil || n != 1 {
		t.Fatalf("the replica has %d entries, %v", n, err)
	}
	replica.Kill()
	for range 2 { // the same again is not acknowledged either, though it changes nothing
		if w, err = s.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "b")}); err != nil || w.Replicated {
			t.Fatalf("with the replica down: %+v, %v", w, err)
		}
	}
	comeBack(t, replica)
	storetest.Eventually(t, "the same is acknowledged once the replica is back", func() bool {
		w, err := s.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "b")})
		return err == nil && w.Replicated && !w.Outcomes[0].New
	})
}
