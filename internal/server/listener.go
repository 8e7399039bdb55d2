package server

import (
	"container/list"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// listener remembers connections on which nothing has been said yet, and closes them with itself. fasthttp takes such a
// one for busy until its read timeout, so that a client which connects ahead of its need would hold up every stop. So it
// does with those of strangers, where a credential is wanted.
type listener struct {
	net.Listener
	mu     sync.Mutex
	silent map[*conn]struct{} // nil once closed
	// strangers are connections on which no credential has been shown that is known here, the oldest first. There are
	// guests of them at most, or any number where that is 0.
	strangers list.List // of *conn
	guests    int
	// heard counts reads that ended, skip how many are to come before giveWay looks again.
	heard atomic.Uint64
	skip  atomic.Int64

	logger *slog.Logger
	said   time.Time // when the log was last told that there is no room for connections
	warned time.Time // and when that there are many strangers
}

// mostGuests bounds the connections of strangers where a credential is wanted: each of them takes a file, and a body's
// memory, and somebody who holds enough of them would leave none for Prosody, on the other listener.
const mostGuests = 512

// skipped is how many reads follow a look for others that found nobody before the next look.
const skipped = 64

// giveWay lets connections go first on which a question waits already. A client that answers at once would otherwise be served
// alone until the scheduler steps in, after 10 ms; and in turns, what it says next is there by the time it is asked for.
// While other cores are idle a look wakes one of them for nothing, so it is left out for a while where nobody came.
func (l *listener) giveWay() {
	if l.skip.Load() > 0 {
		l.skip.Add(-1)
		return
	}
	before := l.heard.Load()
	runtime.Gosched()
	if l.heard.Load() == before {
		l.skip.Store(skipped)
	}
}

type conn struct {
	net.Conn
	from  *listener
	spoke bool
	place *list.Element // among the strangers, guarded by the listener's lock; nil where it is none
	known bool          // somebody showed a credential
	// wanted is until when the next Read may wait, armed what the connection below was told of that.
	wanted, armed time.Time
}

// closeEnough is by how much a deadline may be off. Those of two questions in a row seldom differ by more.
const closeEnough = time.Second

func newListener(ln net.Listener, guests int, logger *slog.Logger) *listener {
	return &listener{Listener: ln, silent: map[*conn]struct{}{}, guests: guests, logger: logger}
}

// acceptPause is how long a machine with no room for a connection is given to find some.
const acceptPause = 100 * time.Millisecond

// Accept waits while the machine has no room: fasthttp would take that for the end of the listener, and the node would
// end with it, just when most ask.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	for noRoom(err) {
		if now := time.Now(); now.Sub(l.said) >= time.Minute {
			l.said = now
			l.logger.Error("new connections have to wait, for this machine has no room for them: raise the process's limit of open files (LimitNOFILE, ulimit -n), or see who holds so many connections",
				"address", l.Addr().String(), "error", err)
		}
		time.Sleep(acceptPause)
		c, err = l.Listener.Accept()
	}
	if err != nil {
		return nil, err
	}
	mine := &conn{Conn: c, from: l}
	oldest, err := l.admit(mine)
	if err != nil {
		return nil, err
	}
	if oldest != nil {
		l.showOut(oldest)
	}
	return mine, nil
}

// admit takes a connection among the strangers, and gives the oldest of them where they are too many.
func (l *listener) admit(c *conn) (oldest *conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent == nil {
		_ = c.Conn.Close()
		return nil, net.ErrClosed
	}
	l.silent[c] = struct{}{}
	c.place = l.strangers.PushBack(c)
	if l.guests > 0 && l.strangers.Len() > l.guests {
		oldest = l.strangers.Front().Value.(*conn)
		l.leave(oldest)
	}
	return oldest, nil
}

// showOut closes a stranger's connection, so that whoever comes with a credential finds room to show it.
func (l *listener) showOut(c *conn) {
	_ = c.Conn.Close()
	if now := time.Now(); now.Sub(l.warned) >= time.Minute {
		l.warned = now
		l.logger.Warn("many are connected who have shown no credential: their oldest connections are closed to make room for others",
			"address", l.Addr().String(), "at_most", l.guests, "closed", c.RemoteAddr().String())
	}
}

// leave takes a connection off the strangers, for who has l.mu.
func (l *listener) leave(c *conn) {
	if c.place != nil {
		l.strangers.Remove(c.place)
		c.place = nil
	}
}

// welcome notes that somebody has shown a credential on a connection: it is no stranger's any more.
func welcome(c net.Conn) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	mine, ok := c.(*conn)
	if !ok || mine.known {
		return
	}
	mine.known = true
	mine.from.mu.Lock()
	defer mine.from.mu.Unlock()
	mine.from.leave(mine)
}

// noRoom tells what goes by itself once others have closed something.
func noRoom(err error) bool {
	for _, passing := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.silent {
		_ = c.Conn.Close()
	}
	l.silent = nil
	// A request of which a part is sent and no more keeps a stop waiting to the last: that is not for strangers to say.
	for e := l.strangers.Front(); e != nil && l.guests > 0; e = e.Next() {
		_ = e.Value.(*conn).Conn.Close()
	}
	return err
}

func (l *listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.silent, c)
}

// SetReadDeadline notes t for the next Read. fasthttp calls it twice a question, once for what is already there: to set a
// timer each time would take as long as it takes to read the question's headers. Nobody else calls it, and nothing is read
// meanwhile.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.wanted = t
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.wanted, c.armed = t, t
	return c.Conn.SetDeadline(t)
}

func (c *conn) Read(b []byte) (int, error) {
	if c.wanted.Sub(c.armed).Abs() >= closeEnough {
		if err := c.Conn.SetReadDeadline(c.wanted); err != nil {
			return 0, err
		}
		c.armed = c.wanted
	}
	c.from.giveWay()
	n, err := c.Conn.Read(b)
	c.from.heard.Add(1)
	if n > 0 && !c.spoke {
		c.spoke = true
		c.from.forget(c)
	}
	return n, err
}

func (c *conn) Close() error {
	c.from.mu.Lock()
	delete(c.from.silent, c)
	c.from.leave(c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}
