package redisstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

func TestAcknowledged_MeansThatTheLogIsOn(t *testing.T) {
	server := redistest.Serve(t)
	s := redisstore.Open(redistest.Connect(t, config.Redis{URL: server.URL(), Prefix: "usher:"}), few)
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
	if err := redistest.Direct(t, server).ConfigSet(t.Context(), "appendonly", "no").Err(); err != nil {
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
	master := redistest.Serve(t, "--repl-diskless-sync-delay", "0") // else it waits five seconds for more replicas
	replica := redistest.Serve(t, "--replicaof", "127.0.0.1 "+fmt.Sprint(master.Port))
	client := redistest.Direct(t, master)
	storetest.Eventually(t, "the replica follows", func() bool {
		info, err := client.Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "state=online")
	})
	open := func(wait time.Duration) *redisstore.Store {
		return redisstore.Open(redistest.Connect(t, config.Redis{URL: master.URL(), Prefix: "usher:"}), redisstore.Options{ReplicaWait: wait})
	}
	r := storetest.JTI(t, "a")
	// A master calls a replica online that has yet to load what it was sent.
	w, err := open(20*time.Second).Revoke(t.Context(), []revocation.Revocation{r})
	if err != nil || !w.Replicated {
		t.Fatalf("with a replica: %+v, %v", w, err)
	}
	if n, err := redistest.Direct(t, replica).HLen(t.Context(), "usher:{revocation}:index").Result(); err != nil || n != 1 {
		t.Fatalf("the replica has %d entries, %v", n, err)
	}
	s := open(time.Second)
	if _, err := s.Revoke(t.Context(), []revocation.Revocation{r}); err != nil { // now it knows of the replica as well
		t.Fatal(err)
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

// lossy is a way to a server on which the answer to one command is lost: the command with the words.
type lossy struct {
	server string
	words  []byte
	lost   atomic.Bool
}

func (w *lossy) open(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go w.carry(conn)
		}
	}()
	return listener.Addr().String()
}

func (w *lossy) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", w.server)
	if err != nil {
		return
	}
	defer server.Close()
	var asked atomic.Bool
	go relay(server, client, func(said []byte) bool {
		if bytes.Contains(said, w.words) {
			asked.Store(true)
		}
		return true
	})
	relay(client, server, func(said []byte) bool {
		unknown := bytes.HasPrefix(said, []byte("-NOSCRIPT")) // not done yet: the client sends the whole script
		return !asked.Load() || unknown || !w.lost.CompareAndSwap(false, true)
	})
}

func relay(to, from net.Conn, pass func(said []byte) bool) {
	for part := make([]byte, 64<<10); ; {
		n, err := from.Read(part)
		if err != nil || !pass(part[:n]) {
			return
		}
		if _, err := to.Write(part[:n]); err != nil {
			return
		}
	}
}

func TestLift_IsAnsweredAlsoWhereTheFirstAnswerWasLost(t *testing.T) {
	server := redistest.Serve(t)
	way := &lossy{server: server.Address(), words: []byte("cred:lifter")}
	s := redisstore.Open(redistest.Connect(t, config.Redis{URL: "redis://" + way.open(t) + "/0", Prefix: "usher:"}), few)
	r := storetest.JTI(t, "a")
	revokeAll(t, s, r)
	got, w, err := s.Lift(t.Context(), r.Key(), "cred:lifter")
	if err != nil || got != r || w.Seq != 2 || !w.Replicated || !way.lost.Load() {
		t.Fatalf("the lift is answered %+v, %+v, %v; an answer was lost: %t", got, w, err, way.lost.Load())
	}
	if changes, err := s.Changes(t.Context(), 1, 0); err != nil || len(changes) != 1 || !changes[0].Lifted {
		t.Errorf("the changes are %+v, %v", changes, err)
	}
	if _, _, err := s.Lift(t.Context(), r.Key(), "cred:lifter"); !errors.Is(err, revocation.ErrNotFound) {
		t.Errorf("lifting again gives %v", err)
	}
}
