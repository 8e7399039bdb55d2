package load

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usher-im/usher/internal/bench/times"
)

// loop asks over all connections from one thread. On a core of its own it never sleeps: to wake a thread that sleeps
// costs the one that writes to it a microsecond or two, and so the slower of two servers would also be charged for
// waking the load more often.
type loop struct {
	*runner
	poll  int
	spins bool
	start time.Time
	until time.Time

	asked, refused, host int
	times                times.Histogram
}

func (l *loop) open() (err error) {
	if l.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("make an epoll: %w", err)
	}
	for n, c := range l.connections {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(n)}
		if err := unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, c.fd, &event); err != nil {
			return fmt.Errorf("watch a connection: %w", err)
		}
	}
	return nil
}

func (l *loop) close() { _ = unix.Close(l.poll) }

// run asks until the time is over and all that was asked is answered.
func (l *loop) run() error {
	for n, c := range l.connections {
		c.next, c.due = n, l.dueAt(n)
	}
	var events [64]unix.EpollEvent
	for {
		now := time.Now()
		waiting, err := l.sendDue(now)
		if err != nil || !waiting && now.After(l.until) {
			return err
		}
		if now.After(l.until.Add(patience)) {
			return fmt.Errorf("the server did not answer within %s", patience)
		}
		if err := l.sleep(now); err != nil {
			return err
		}
		n, err := unix.EpollWait(l.poll, events[:], 0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("take answers: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			if err := l.take(l.connections[e.Fd]); err != nil {
				return err
			}
		}
	}
}

// sleep waits for an answer, or until a request is due.
func (l *loop) sleep(now time.Time) error {
	if l.spins {
		return nil
	}
	until := l.until
	for _, c := range l.connections {
		if !c.busy && c.due.Before(until) {
			until = c.due
		}
	}
	left := unix.NsecToTimespec(max(until.Sub(now), 0).Nanoseconds())
	_, err := unix.Ppoll([]unix.PollFd{{Fd: int32(l.poll), Events: unix.POLLIN}}, &left, nil)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for answers: %w", err)
	}
	return nil
}

// dueAt is when the n-th request of all is due.
func (l *loop) dueAt(n int) time.Time {
	if l.Rate == 0 {
		return l.start
	}
	return l.start.Add(time.Duration(float64(n) / l.Rate * float64(time.Second)))
}

// sendDue sends what is due on connections that are free, and tells whether any answer is waited for.
func (l *loop) sendDue(now time.Time) (waiting bool, err error) {
	for _, c := range l.connections {
		if !c.busy && !c.due.After(now) && now.Before(l.until) {
			if err := l.send(c, now); err != nil {
				return false, err
			}
		}
		waiting = waiting || c.busy
	}
	return waiting, nil
}

// send puts the connection's next request on its way. Its time counts from when it was due where the connection was
// still busy then, since that is the server's doing; and from now where it was only this thread that came late.
func (l *loop) send(c *connection, now time.Time) error {
	c.since = now
	if l.Rate > 0 && c.free.After(c.due) {
		c.since = c.due
	}
	which, host := l.turn(c.next, len(l.requests))
	l.host = max(l.host, host)
	request := &l.requests[which]
	request.address(l.id, uint64(c.next), host)
	c.which = which
	c.next += l.Connections
	c.due = l.dueAt(c.next)
	return c.send(request.bytes)
}

var allowed = []byte(`{"allow":true`)

// take reads from a connection, and counts the answer when all of it has come. As fast as the server answers, the next
// request follows at once.
func (l *loop) take(c *connection) error {
	status, body, err := c.receive()
	if err != nil || body == nil {
		return err
	}
	now := time.Now()
	l.times.Add(now.Sub(c.since))
	l.asked++
	c.busy, c.free = false, now
	if !l.admitted(status, body) {
		if l.refused++; l.Plan != Bad || c.which%10 != 0 || status != 200 {
			return fmt.Errorf("a good token was refused with status %d: %s", status, body)
		}
	}
	if l.Rate > 0 || !now.Before(l.until) {
		return nil
	}
	return l.send(c, now)
}

func (l *loop) admitted(status int, body []byte) bool {
	return l.Speaks == HAProxy && status == 200 || bytes.HasPrefix(body, allowed)
}
