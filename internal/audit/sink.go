package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
)

// Sink shows every event to a SIEM, one line each. It is beside the store, not before it: a sink that is too slow
// loses events, and counts them; the store does not.
type Sink struct {
	w      io.WriteCloser
	format func([]byte, *Event) []byte
	log    *slog.Logger
	queue  chan []byte
	done   chan struct{}
	shed   atomic.Int64
	anew   atomic.Pointer[io.WriteCloser] // takes the place of w before the next event is written
}

const sinkQueue = 16 << 10

// NewSink writes to w, which it closes at the end. The format is AppendJSON or AppendOCSF.
func NewSink(w io.WriteCloser, format func(dst []byte, e *Event) []byte, log *slog.Logger) *Sink {
	s := &Sink{w: w, format: format, log: log, queue: make(chan []byte, sinkQueue), done: make(chan struct{})}
	go s.run()
	return s
}

// Renew has later events go to w instead. It waits for nothing; what was written to before is closed with the next event.
func (s *Sink) Renew(w io.WriteCloser) {
	if unused := s.anew.Swap(&w); unused != nil {
		_ = (*unused).Close() // nothing was written to it
	}
}

// offer hands over a packed event without waiting.
func (s *Sink) offer(data []byte) {
	select {
	case s.queue <- bytes.Clone(data):
	default:
		s.shed.Add(1)
	}
}

func (s *Sink) run() {
	defer close(s.done)
	var buf []byte
	var failing, torn bool
	for data := range s.queue {
		e, err := Unpack(data)
		if err != nil {
			continue
		}
		if anew := s.anew.Swap(nil); anew != nil {
			if err := s.w.Close(); err != nil {
				s.log.Warn(fmt.Sprintf("close what the audit sink wrote to: %v", err))
			}
			s.w, torn = *anew, false
		}
		if torn {
			buf, torn = append(buf, '\n'), false
		}
		buf = append(s.format(buf, &e), '\n')
		if len(s.queue) > 0 && len(buf) < 64<<10 {
			continue
		}
		n, err := s.w.Write(buf)
		if err != nil {
			s.shed.Add(int64(bytes.Count(buf[n:], []byte("\n"))))
			torn = n > 0 && buf[n-1] != '\n' // what comes next is not to end its line
		}
		buf = buf[:0]
		if err != nil && !failing {
			s.log.Error(fmt.Sprintf("the audit sink does not take events: %v; they are in the audit store all the same", err))
		}
		failing = err != nil
	}
	if len(buf) > 0 {
		_, _ = s.w.Write(buf)
	}
}

// close waits for what was taken to be written, until ctx ends: a reader may have stopped reading for good.
func (s *Sink) close(ctx context.Context) error {
	close(s.queue)
	select {
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("the audit sink did not take the last events: %w", ctx.Err())
	}
	if anew := s.anew.Swap(nil); anew != nil {
		_ = (*anew).Close() // nothing was written to it
	}
	if err := s.w.Close(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("close the audit sink: %w", err)
	}
	return nil
}
