package server

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// accepted is a connection as the server has it, and its other end.
func accepted(t *testing.T) (mine, other net.Conn) {
	t.Helper()
	return accept(t, listening(t))
}

func listening(t *testing.T) *listener {
	t.Helper()
	return listeningTo(t, 0)
}

func listeningTo(t *testing.T, guests int) *listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(inner, guests, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { l.Close() })
	return l
}

func accept(t *testing.T, l *listener) (mine, other net.Conn) {
	t.Helper()
	other, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
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

// talker is a client that has always said more already. It is no socket: a system may keep a thread in a call of its own for
// longer than the other client takes to say everything.
type talker struct{ net.Conn }

func (talker) Read(b []byte) (int, error) { return len(b), nil }

// On one core, two clients that have always more to say are served in turns, not one of them until the scheduler steps in.
func TestConn_NobodyIsServedAloneWhileOthersWait(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const reads = 2000
	l := listening(t)
	turns := make(chan int, 2*reads)
	var group sync.WaitGroup
	for who := range 2 {
		c := &conn{Conn: talker{}, from: l}
		group.Go(func() {
			for range reads {
				if err := read(t, c); err != nil {
					t.Error(err)
					return
				}
				turns <- who
			}
		})
	}
	group.Wait()
	close(turns)
	var served [2]int
	last, alone, longest := -1, 0, 0
	for who := range turns {
		if who != last {
			last, alone = who, 0
		}
		served[who]++
		alone++
		if served[0] < reads && served[1] < reads {
			longest = max(longest, alone)
		}
	}
	// A look may find nobody while the other client is not there yet; without looks one is served to its end.
	if longest > 4*skipped {
		t.Errorf("one client was served %d times in a row while the other waited", longest)
	}
}

func TestListener_TheOldestStrangerGivesRoomToTheNext(t *testing.T) {
	l := listeningTo(t, 2)
	// A credential may be shown under TLS.
	for name, shown := range map[string]func(net.Conn) net.Conn{
		"plainly": func(c net.Conn) net.Conn { return c },
		"by TLS":  func(c net.Conn) net.Conn { return tls.Server(c, &tls.Config{}) },
	} {
		known, _ := accept(t, l)
		welcome(shown(known))
		oldest, _ := accept(t, l)
		gone, _ := accept(t, l)
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		older, _ := accept(t, l)
		newest, _ := accept(t, l)
		for c, want := range map[net.Conn]error{
			oldest: net.ErrClosed, known: os.ErrDeadlineExceeded, older: os.ErrDeadlineExceeded, newest: os.ErrDeadlineExceeded,
		} {
			if err := errors.Join(c.SetReadDeadline(time.Now().Add(-time.Second)), read(t, c)); !errors.Is(err, want) {
				t.Errorf("%s: a read ends with %v, not with %v", name, err, want)
			}
			_ = c.Close() // one is closed
		}
	}
}

func TestListener_WhereEverybodyMayComeNobodyIsShownOut(t *testing.T) {
	l := listening(t)
	first, _ := accept(t, l)
	for range mostGuests {
		accept(t, l)
	}
	if err := errors.Join(first.SetReadDeadline(time.Now().Add(-time.Second)), read(t, first)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
