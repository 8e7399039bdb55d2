package load

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/usher-im/usher/internal/bench/fixture"
)

// connection is one kept connection to the server.
type connection struct {
	net.Conn
	in []byte
}

// patience is how long one answer may take before the run is given up.
const patience = 20 * time.Second

func dial(address string) (*connection, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to the server under load: %w", err)
	}
	return &connection{Conn: c, in: make([]byte, 16<<10)}, nil
}

// ask sends a request and reads the answer, which stays valid until the next one.
func (c *connection) ask(r *request, run, n uint64, host int) (status int, body []byte, err error) {
	if r.body != nil {
		fixture.SetID(r.body, run, n)
		fixture.SetHost(r.body, r.host, host)
	}
	if _, err := c.Write(r.bytes); err != nil {
		return 0, nil, fmt.Errorf("send a request: %w", err)
	}
	for got := 0; ; {
		more, err := c.Read(c.in[got:])
		if err != nil {
			return 0, nil, fmt.Errorf("read an answer: %w", err)
		}
		got += more
		if status, body, err = answer(c.in[:got]); err != nil || body != nil {
			return status, body, err
		}
		if got == len(c.in) {
			return 0, nil, errors.New("an answer is larger than any that is expected")
		}
	}
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
