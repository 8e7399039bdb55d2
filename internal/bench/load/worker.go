package load

import (
	"bytes"
	"fmt"
	"time"

	"github.com/usher-im/usher/internal/bench/times"
)

// worker asks over one connection.
type worker struct {
	*runner
	connection *connection
	number     int
	requests   []request

	asked, refused, host int
	times                times.Histogram
	err                  error
}

func (w *worker) run(start time.Time) error {
	until := start.Add(time.Duration(w.Seconds * float64(time.Second)))
	w.connection.SetDeadline(until.Add(patience))
	for k := 0; ; k++ {
		n := k*w.Connections + w.number
		due := time.Now()
		if w.Rate > 0 {
			due = w.await(start.Add(time.Duration(float64(n) / w.Rate * float64(time.Second))))
		}
		if !due.Before(until) {
			return nil
		}
		if err := w.ask(n); err != nil {
			return err
		}
		w.times.Add(time.Since(due))
	}
}

// await waits until a request is due and says from when it counts: from when it was due where the connection was still
// busy then, since that is the server's doing; and from now where it was only our own clock that woke late.
func (w *worker) await(due time.Time) time.Time {
	left := time.Until(due)
	if left <= 0 {
		return due
	}
	time.Sleep(left)
	return time.Now()
}

var allowed = []byte(`{"allow":true`)

func (w *worker) ask(n int) error {
	which, host := w.turn(n, len(w.requests))
	w.host = max(w.host, host)
	status, body, err := w.connection.ask(&w.requests[which], w.id, uint64(n), host)
	if err != nil {
		return err
	}
	w.asked++
	if w.Speaks == HAProxy && status == 200 || bytes.HasPrefix(body, allowed) {
		return nil
	}
	w.refused++
	if w.Plan == Bad && which%10 == 0 && status == 200 {
		return nil
	}
	return fmt.Errorf("a good token was refused with status %d: %s", status, body)
}
