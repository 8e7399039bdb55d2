package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// connection is one kept connection to the server, with at most one request on its way.
type connection struct {
	fd  int
	in  []byte
	got int // of in

	busy  bool
	free  time.Time // since when no request is on its way
	since time.Time // from when the time of the one on its way counts
	which int       // of the requests
	next  int       // its turn among the requests of all connections
	due   time.Time // of its next request, at a fixed rate
}

// patience is how long one answer may take before the run is given up.
const patience = 20 * time.Second

func dial(address string) (*connection, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("connect to the server under load: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	c := &connection{fd: fd, in: make([]byte, 16<<10)}
	err = errors.Join(
		unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetNonblock(fd, true),
	)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("connect to the server under load at %s: %w", address, err)
	}
	return c, nil
}

func (c *connection) close() { _ = unix.Close(c.fd) }

// send writes a whole request. It fits into the socket's buffer, which is empty: the last one was answered.
func (c *connection) send(request []byte) error {
	switch n, err := unix.Write(c.fd, request); {
	case err != nil:
		return fmt.Errorf("send a request: %w", err)
	case n < len(request):
		return fmt.Errorf("a request of %d bytes does not fit into the buffer of a socket", len(request))
	}
	c.got, c.busy = 0, true
	return nil
}

// receive reads what has come; body is nil while there is more to come.
func (c *connection) receive() (status int, body []byte, err error) {
	n, err := unix.Read(c.fd, c.in[c.got:])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return 0, nil, nil
	case err != nil:
		return 0, nil, fmt.Errorf("read an answer: %w", err)
	case n == 0:
		return 0, nil, errors.New("the server closed a connection that it was to keep")
	}
	c.got += n
	status, body, err = answer(c.in[:c.got])
	if err == nil && body == nil && c.got == len(c.in) {
		return 0, nil, errors.New("an answer is larger than any that is expected")
	}
	return status, body, err
}

// ask sends a request and waits for its answer.
func (c *connection) ask(request []byte) (status int, body []byte, err error) {
	if err := c.send(request); err != nil {
		return 0, nil, err
	}
	c.busy = false
	for until := time.Now().Add(patience); body == nil && err == nil; {
		if time.Now().After(until) {
			return 0, nil, fmt.Errorf("the server did not answer within %s", patience)
		}
		status, body, err = c.receive()
	}
	return status, body, err
}

var (
	headEnd       = []byte("\r\n\r\n")
	contentLength = []byte("ontent-") // as servers spell it: Content-Length or content-length
)

// answer reads a whole answer; body is nil while there is more to come.
func answer(b []byte) (status int, body []byte, err error) {
	end := bytes.Index(b, headEnd)
	if end < 0 {
		return 0, nil, nil
	}
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 ")) {
		return 0, nil, fmt.Errorf("the answer is not HTTP: %.40q", b)
	}
	status = number(b[len("HTTP/1.1 "):])
	length := 0
	for head := b[:end]; ; {
		at := bytes.Index(head, contentLength)
		if at < 0 {
			break
		}
		head = head[at+len(contentLength):]
		if rest, ok := bytes.CutPrefix(head[1:], []byte("ength: ")); ok {
			length = number(rest)
			break
		}
	}
	body = b[end+len(headEnd):]
	if len(body) < length {
		return status, nil, nil
	}
	return status, body, nil
}

func number(b []byte) (n int) {
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}
