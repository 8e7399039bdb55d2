package server_test

import (
	"net"
	"testing"
	"time"
)

func TestStop_WaitsForNobodyWhoHasSaidNothing(t *testing.T) {
	n := start(t, base)
	for _, address := range []string{n.server.VerifyAddress(), n.server.AdminAddress()} {
		c, err := net.Dial("tcp", address)
		must(t, err)
		t.Cleanup(func() { c.Close() })
	}
	n.verify(question(t, map[string]any{"token": mintToken(t, "a")})) // accepted after them, so that they are there
	before := time.Now()
	n.stop()
	if err := <-n.stopped; err != nil {
		t.Error(err)
	}
	n.stopped <- nil
	if took := time.Since(before); took > 3*time.Second {
		t.Errorf("two silent connections held the server up for %v", took)
	}
	if said := n.log.String(); said != "" {
		t.Errorf("the log says %s", said)
	}
}

// So do health checks that know no HTTP.
func TestConn_OneThatIsResetBeforeAWordIsNoFault(t *testing.T) {
	n := start(t, base)
	for _, address := range []string{n.server.VerifyAddress(), n.server.AdminAddress()} {
		c, err := net.Dial("tcp", address)
		must(t, err)
		must(t, c.(*net.TCPConn).SetLinger(0))
		must(t, c.Close())
	}
	n.verify(question(t, map[string]any{"token": mintToken(t, "a")})) // accepted after them, so that they are there
	n.do("GET", n.server.AdminAddress(), "/healthz", "")
	n.stop()
	must(t, <-n.stopped) // and they are gone
	n.stopped <- nil
	if said := n.log.String(); said != "" {
		t.Errorf("the log says %s", said)
	}
}
