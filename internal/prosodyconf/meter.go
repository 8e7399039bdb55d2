package prosodyconf

import (
	"errors"
	"runtime/metrics"
	"time"
)

// Bounds of an evaluation. Jitsi's largest configs take a few thousand steps and some hundred kilobytes.
const (
	maxSteps    = 1_000_000
	maxTime     = 5 * time.Second
	maxMemory   = 64 << 20
	maxText     = 1 << 20 // one string
	maxAllText  = 16 << 20
	maxFile     = 1 << 20
	maxFiles    = 200
	maxNesting  = 200
	maxElements = 100_000 // values in all options together
)

var (
	errSteps  = errors.New("the config takes too many steps; import one without loops that long")
	errTime   = errors.New("the config takes too long")
	errMemory = errors.New("the config takes too much memory")
	errText   = errors.New("the config builds too much text")
)

// meter counts what an evaluation costs and ends it. It is the context of the Lua state, which asks for Done before
// every instruction: that is the count of steps.
type meter struct {
	done    chan struct{}
	err     error
	steps   int
	text    int
	started time.Time
	heap    []metrics.Sample
	before  uint64
}

func newMeter() *meter {
	m := &meter{done: make(chan struct{}), started: time.Now(), heap: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}}
	m.before = m.heapNow()
	return m
}

func (m *meter) heapNow() uint64 {
	metrics.Read(m.heap)
	return m.heap[0].Value.Uint64()
}

// stop ends the evaluation for good: a pcall around it changes nothing.
func (m *meter) stop(err error) {
	if m.err == nil {
		m.err = err
		close(m.done)
	}
}

// Done is asked before each instruction.
func (m *meter) Done() <-chan struct{} {
	m.steps++
	switch {
	case m.err != nil:
	case m.steps > maxSteps:
		m.stop(errSteps)
	case m.steps%16 == 0 && m.heapNow() > m.before+maxMemory:
		m.stop(errMemory)
	case m.steps%256 == 0 && time.Since(m.started) > maxTime:
		m.stop(errTime)
	}
	return m.done
}

// Err is why the evaluation ended early.
func (m *meter) Err() error { return m.err }

// Deadline and Value make a context of the meter.
func (m *meter) Deadline() (time.Time, bool) { return m.started.Add(maxTime), true }

// Value holds nothing.
func (m *meter) Value(any) any { return nil }

// spend accounts for text that a library function is about to build.
func (m *meter) spend(bytes int) error {
	m.text += bytes
	if bytes > maxText || m.text > maxAllText {
		m.stop(errText)
	}
	return m.err
}
