package server

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// crowded is a listener on a machine that has no room for a connection the first few times.
type crowded struct {
	net.Listener
	without []error
}

func (c *crowded) Accept() (net.Conn, error) {
	if len(c.without) > 0 {
		err := c.without[0]
		c.without = c.without[1:]
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	return c.Listener.Accept()
}

func TestAccept_AMachineWithoutRoomIsWaitedForAndSaidOnce(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	l := newListener(&crowded{inner, []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}}, 0, slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { l.Close() })
	accept(t, l)
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "LimitNOFILE") {
		t.Errorf("the log says: %s", said)
	}
}
