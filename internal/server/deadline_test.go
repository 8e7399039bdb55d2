package server

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// accepted is a connection as the server has it, and its other end.
func accepted(t *testing.T) (mine, other net.Conn) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(inner)
	t.Cleanup(func() { l.Close() })
	if other, err = net.Dial("tcp", inner.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	if mine, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mine.Close() })
	return mine, other
}

func read(t *testing.T, c net.Conn) error {
	t.Helper()
	_, err := c.Read(make([]byte, 1))
	return err
}

func TestConn_DeadlinesEndReads(t *testing.T) {
	hour := time.Now().Add(time.Hour)
	for name, set := range map[string]func(net.Conn) error{
		"the first": func(c net.Conn) error { return c.SetReadDeadline(time.Now().Add(-time.Second)) },
		"one before a later one": func(c net.Conn) error {
			return errors.Join(c.SetReadDeadline(hour), c.SetReadDeadline(time.Now().Add(-time.Second)))
		},
		"that of everything": func(c net.Conn) error { return c.SetDeadline(time.Now().Add(-time.Second)) },
		"one after that": func(c net.Conn) error {
			return errors.Join(c.SetDeadline(time.Time{}), c.SetReadDeadline(time.Now().Add(-time.Second)))
		},
	} {
		c, _ := accepted(t)
		if err := set(c); err != nil {
			t.Fatal(err)
		}
		if err := read(t, c); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConn_ADeadlineThatIsPutOffOrTakenAwayIsOneNoLonger(t *testing.T) {
	for _, later := range []time.Time{time.Now().Add(time.Hour), {}} {
		c, other := accepted(t)
		if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := read(t, c); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if _, err := other.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.SetReadDeadline(later), read(t, c)); err != nil {
			t.Errorf("until %v: %v", later, err)
		}
	}
}

// What a client that sends a letter a minute is held to is not lengthened by the time that a kept connection may be idle.
func TestConn_WithinAQuestionTheShorterDeadlineHolds(t *testing.T) {
	c, other := accepted(t)
	if _, err := other.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.SetReadDeadline(time.Now().Add(time.Hour)), read(t, c)); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := read(t, c); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the rest was waited for: %v", err)
	}
}
