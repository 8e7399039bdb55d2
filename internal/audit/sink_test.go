package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/e2e/proc"
)

// pipeEnd is a sink's writer that can be slow or closed.
type pipeEnd struct {
	proc.Log
	hold   chan struct{}
	closed bool
	fail   error
}

func (p *pipeEnd) Write(b []byte) (int, error) {
	if p.hold != nil {
		<-p.hold
	}
	if p.fail != nil {
		return 0, p.fail
	}
	return p.Log.Write(b)
}

func (p *pipeEnd) Close() error {
	p.closed = true
	return nil
}

func TestSink_ShowsEveryEventInEitherShape(t *testing.T) {
	for name, format := range map[string]func([]byte, *Event) []byte{"jsonl": AppendJSON, "ocsf": AppendOCSF} {
		w := &pipeEnd{}
		p, _ := start(t, &shelf{}, Options{Sink: NewSink(w, format, slog.Default())})
		for i := range 500 {
			p.Record(numbered(i))
		}
		if err := p.Close(soon(t)); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(w.String(), "\n"), "\n")
		if len(lines) != 500 || !w.closed {
			t.Errorf("%s: %d lines of 500, closed %v", name, len(lines), w.closed)
		}
		for _, line := range lines {
			if !json.Valid([]byte(line)) {
				t.Fatalf("%s: %s", name, line)
			}
		}
	}
}

func TestSink_StuckReaderDoesNotHoldUpTheEnd(t *testing.T) {
	w := &pipeEnd{hold: make(chan struct{})}
	defer close(w.hold)
	p, _ := start(t, &shelf{}, Options{Sink: NewSink(w, AppendJSON, slog.Default())})
	p.Record(numbered(1))
	ctx, cancel := context.WithCancel(soon(t))
	cancel()
	if err := p.Close(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the audit sink") {
		t.Errorf("got %v", err)
	}
}

func TestSink_SlowReaderHoldsUpNobody(t *testing.T) {
	w := &pipeEnd{hold: make(chan struct{})}
	store := &shelf{}
	p, _ := start(t, store, Options{Sink: NewSink(w, AppendJSON, slog.Default())})
	const all = sinkQueue + 5000
	for i := range all {
		p.Record(numbered(i))
	}
	flush(t, p)
	wantNumbered(t, store.events(t), all)
	if p.opt.Sink.shed.Load() == 0 {
		t.Error("nothing was shed from a sink that takes nothing")
	}
	close(w.hold)
}

func TestSink_BrokenPipeIsSaidOnce(t *testing.T) {
	var log bytes.Buffer
	w := &pipeEnd{fail: errors.New("broken pipe")}
	s := NewSink(w, AppendJSON, slog.New(slog.NewTextHandler(&log, nil)))
	e := full()
	for range 100 {
		s.offer(Pack(nil, &e))
	}
	if err := s.close(soon(t)); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	if n := s.shed.Load(); n != 100 {
		t.Errorf("%d of 100 events were counted as missed", n)
	}
}

// fullSink has no room for the end of the first thing written, and then has room again.
type fullSink struct{ pipeEnd }

func (d *fullSink) Write(b []byte) (int, error) {
	if d.String() == "" {
		n, _ := d.pipeEnd.Write(b[:len(b)-5])
		return n, errors.New("no space left on device")
	}
	return d.pipeEnd.Write(b)
}

func TestSink_TornLineSpoilsNoOther(t *testing.T) {
	w := &fullSink{}
	s := NewSink(w, AppendJSON, slog.New(slog.DiscardHandler))
	e := full()
	s.offer(Pack(nil, &e))
	for s.shed.Load() == 0 {
		runtime.Gosched()
	}
	s.offer(Pack(nil, &e))
	if err := s.close(soon(t)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(w.String(), "\n"), "\n")
	if len(lines) != 2 || !json.Valid([]byte(lines[1])) || s.shed.Load() != 1 {
		t.Errorf("%d missed: %q", s.shed.Load(), lines)
	}
}

func TestSink_RenewedGoesOnInTheNewFileAndLeavesNoneOpen(t *testing.T) {
	files := [4]pipeEnd{}
	sink := NewSink(&files[0], AppendJSON, slog.Default())
	p, _ := start(t, &shelf{}, Options{Sink: sink})
	p.Record(numbered(0))
	flush(t, p)
	sink.Renew(&files[1]) // nothing comes before the next one
	sink.Renew(&files[2])
	p.Record(numbered(1))
	flush(t, p)
	sink.Renew(&files[3])
	if err := p.Close(soon(t)); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for i := range files {
		lines += strings.Count(files[i].String(), "\n")
		if !files[i].closed {
			t.Errorf("file %d is still open", i)
		}
	}
	if lines != 2 || files[1].String() != "" {
		t.Errorf("%d lines of 2, and in the file that was never used: %q", lines, files[1].String())
	}
}
