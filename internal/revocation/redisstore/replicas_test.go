package redisstore

import (
	"net"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/redisconn/redistest"
)

func TestReplicas_OneThatASingleServerLostIsMissedFromThenOn(t *testing.T) {
	s := Open(redistest.Connect(t, config.Redis{URL: "redis://127.0.0.1:1/0"}), Options{})
	for _, connected := range []string{"1", "0"} {
		s.asked = time.Now().Add(-2 * replicasFor) // what was known is not forgotten with time
		if n, err := s.replicas(t.Context(), redisconn.Info{"connected_slaves": connected}); err != nil || n != 1 {
			t.Errorf("with %s connected %d replicas are counted, %v", connected, n, err)
		}
	}
}

func TestReplicas_SentinelsThatAreSilentHoldUpNoHeartbeat(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := Open(redistest.Connect(t, config.Redis{Sentinel: &config.Sentinel{Master: "m", Addresses: []string{silent.Addr().String()}}}), Options{})
	answered := make(chan error, 1)
	go func() {
		_, err := s.replicas(t.Context(), redisconn.Info{})
		answered <- err
	}()
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	beaten := make(chan string)
	go func() { beaten <- s.lastBeat("1-0") }()
	select {
	case <-beaten:
	case err := <-answered:
		t.Fatalf("a heartbeat waited for the Sentinels, which then said %v", err)
	}
	conn.Close()
	if err := <-answered; err == nil {
		t.Error("Sentinels that said nothing were heard")
	}
}
