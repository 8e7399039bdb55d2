package server

import (
	"net"
	"sync"
)

// listener remembers connections on which nothing has been said yet, and closes them with itself. fasthttp takes such a
// one for busy until its read timeout, so that a client which connects ahead of its need would hold up every stop.
type listener struct {
	net.Listener
	mu     sync.Mutex
	silent map[*conn]struct{} // nil once closed
}

type conn struct {
	net.Conn
	from  *listener
	spoke bool
}

func newListener(ln net.Listener) *listener {
	return &listener{Listener: ln, silent: map[*conn]struct{}{}}
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	mine := &conn{Conn: c, from: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent == nil {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	l.silent[mine] = struct{}{}
	return mine, nil
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.silent {
		_ = c.Conn.Close()
	}
	l.silent = nil
	return err
}

func (l *listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.silent, c)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.spoke {
		c.spoke = true
		c.from.forget(c)
	}
	return n, err
}

func (c *conn) Close() error {
	c.from.forget(c)
	return c.Conn.Close()
}
