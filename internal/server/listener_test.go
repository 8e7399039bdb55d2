package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/server"
)

// occupied is a node that answers a request, for which a stop waits. That is ended by stopsWithout.
type occupied struct {
	*node
	goOn chan struct{}
}

func occupy(t *testing.T) occupied {
	t.Helper()
	n := occupied{goOn: make(chan struct{})}
	entered := make(chan struct{})
	// A stop gives up on what holds it before fasthttp does, after 30 s, and says so.
	n.node = startWith(t, base, server.Options{DrainTime: 20 * time.Second, Verify: []server.Route{{Method: fiber.MethodGet, Path: "/slow", Open: true, Handler: func(c *fiber.Ctx) error {
		close(entered)
		<-n.goOn
		return nil
	}}}})
	c, err := net.Dial("tcp", n.server.VerifyAddress())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = c.Write([]byte("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	must(t, err)
	<-entered
	return n
}

// stopsWithout stops the node and waits for others to end, which they do while it still waits for its request; after that it
// waits for nothing.
func (n occupied) stopsWithout(others ...io.Reader) {
	n.t.Helper()
	n.stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, r := range others {
			_, _ = io.Copy(io.Discard, r)
		}
	}()
	select {
	case <-ended:
	case err := <-n.stopped:
		n.t.Error("the stop gave up on them")
		n.stopped <- err
	}
	close(n.goOn)
	if err := <-n.stopped; err != nil {
		n.t.Error(err)
	}
	n.stopped <- nil
	if said := n.log.String(); said != "" {
		n.t.Errorf("the log says %s", said)
	}
}

func TestStop_WaitsForNobodyWhoHasSaidNothing(t *testing.T) {
	n := occupy(t)
	var silent []io.Reader
	for _, address := range []string{n.server.VerifyAddress(), n.server.AdminAddress()} {
		c, err := net.Dial("tcp", address)
		must(t, err)
		t.Cleanup(func() { c.Close() })
		silent = append(silent, c)
	}
	n.verify(question(t, map[string]any{"token": mintToken(t, "a")})) // accepted after them, so that they are there
	n.do("GET", n.server.AdminAddress(), "/healthz", "")
	n.stopsWithout(silent...)
}

// Until a stop has ended nobody answers Prosody.
func TestStop_WaitsForNoRequestOfAStrangerWhereACredentialIsWanted(t *testing.T) {
	n := occupy(t)
	c, err := net.Dial("tcp", n.server.AdminAddress())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = c.Write([]byte("POST /v1/explain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"))
	must(t, err)
	goOn := make([]byte, len("HTTP/1.1 100 "))
	_, err = io.ReadFull(c, goOn) // the body is waited for
	must(t, err)
	n.stopsWithout(c)
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

// Otherwise the next question goes out over a connection that is about to be closed, and costs the shim the attempt that
// another endpoint would have had.
func TestStop_AnAnswerSaysThatItsConnectionEnds(t *testing.T) {
	entered, goOn := make(chan struct{}), make(chan struct{})
	n := start(t, base, server.Route{Method: fiber.MethodGet, Path: "/slow", Open: true, Handler: func(c *fiber.Ctx) error {
		close(entered)
		<-goOn
		return c.SendString("done")
	}})
	c, err := net.Dial("tcp", n.server.VerifyAddress())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = c.Write([]byte("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	must(t, err)
	<-entered
	n.stop()
	for err == nil { // until nobody listens any more
		var other net.Conn
		if other, err = net.Dial("tcp", n.server.VerifyAddress()); err == nil {
			other.Close()
		}
	}
	close(goOn)
	if said, _ := io.ReadAll(c); !bytes.Contains(said, []byte("\r\nConnection: close\r\n")) || !bytes.HasSuffix(said, []byte("done")) {
		t.Errorf("got %q", said)
	}
}

// Each connection takes a file of the process's, whose number is bounded: strangers on one listener must not leave the other
// without any.
func TestListener_StrangersDoNotFillTheNodeNorPutOutWhoIsKnown(t *testing.T) {
	n := start(t, base)
	secret, err := n.who.Create("soc-1", credential.Revoke, time.Now())
	must(t, err)
	ask := func(c net.Conn) error {
		_, err := fmt.Fprintf(c, "GET /v1/revocations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", secret)
		must(t, err)
		must(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		_, err = io.Copy(io.Discard, r.Body)
		return err
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", n.server.AdminAddress())
		must(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	known := dial()
	must(t, ask(known))
	stranger := dial()
	for range 600 {
		dial()
	}
	must(t, stranger.SetReadDeadline(time.Now().Add(10*time.Second)))
	if _, err := stranger.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the oldest stranger is kept: %v", err)
	}
	if err := ask(known); err != nil {
		t.Errorf("who is known is put out: %v", err)
	}
	if err := ask(dial()); err != nil {
		t.Errorf("who comes with a credential finds no room: %v", err)
	}
	if said := n.log.String(); strings.Count(said, "level=") != 1 || !strings.Contains(said, "level=WARN") || !strings.Contains(said, "at_most=512") {
		t.Errorf("the log says %q", said)
	}
}

func TestStop_LeavesBehindWhoDoesNotReadHisAnswer(t *testing.T) {
	entered := make(chan struct{})
	n := startWith(t, base, server.Options{DrainTime: 200 * time.Millisecond, Verify: []server.Route{{
		Method: fiber.MethodGet, Path: "/long", Open: true, Handler: func(c *fiber.Ctx) error {
			close(entered)
			return c.Send(make([]byte, 64<<20)) // more than the two kernels hold
		},
	}}})
	c, err := net.Dial("tcp", n.server.VerifyAddress())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = c.Write([]byte("GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	must(t, err)
	<-entered
	n.stop()
	if err := <-n.stopped; err != nil {
		t.Errorf("the stop failed: %v", err)
	}
	n.stopped <- nil
	if said := n.log.String(); strings.Count(said, "level=") != 1 || !strings.Contains(said, "level=WARN") || !strings.Contains(said, "waited=200ms") {
		t.Errorf("the log says %q", said)
	}
}
