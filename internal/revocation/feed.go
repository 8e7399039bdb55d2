package revocation

import (
	"context"
	"strconv"
	"strings"
	"sync"
)

// Line is one thing that the feed tells.
type Line struct {
	// Cursor is where to go on from after this line, on any node of the same store.
	Cursor string
	// Keys were just revoked.
	Keys []string
	// Reset: what was missed cannot be told. Ask about every session.
	Reset bool
}

const (
	// remembered is how many changes back a cursor may lie (a power of two).
	remembered = 1 << 14
	// lineKeys bounds one line.
	lineKeys = 256
)

// Feed hands out the keys of what was revoked. Subscribers read from one ring at their own pace: none can hold up the
// ledger or another one, and one that falls too far behind is told so.
type Feed struct {
	lock ciphers

	mu      sync.Mutex
	epoch   string
	ring    []Key  // change n lies at n%remembered; lifts leave a zero key
	first   uint64 // number of the oldest change in the ring
	next    uint64 // number of the next change
	changed chan struct{}
}

func newFeed() *Feed { return &Feed{changed: make(chan struct{})} }

// restart begins at a position in a history. Cursors into another history, or further back, are told to reset.
func (f *Feed) restart(at position, before []Change) {
	f.lock.learn(at.identity.Secret)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch, f.ring = at.identity.Epoch, make([]Key, remembered)
	f.first, f.next = at.seq+1, at.seq+1
	for i := len(before) - 1; i >= 0 && before[i].Seq == f.first-1 && at.seq-before[i].Seq < remembered; i-- {
		f.first--
		f.ring[f.first%remembered] = fed(before[i])
	}
	f.signal()
}

// add tells the next change. The index must have it already: whoever hears of a key asks about it at once.
func (f *Feed) add(changes []Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range changes {
		f.ring[c.Seq%remembered] = fed(c)
		f.next = c.Seq + 1
	}
	if f.next-f.first > remembered {
		f.first = f.next - remembered
	}
	f.signal()
}

func fed(c Change) Key {
	if c.Lifted {
		return Key{}
	}
	return c.Entry.Key
}

func (f *Feed) signal() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Cursor is where the feed stands now.
func (f *Feed) Cursor() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cursor(f.next - 1)
}

func (f *Feed) cursor(seq uint64) string { return f.epoch + "-" + strconv.FormatUint(seq, 10) }

// Subscribe tells what was revoked since cursor, and goes on until ctx ends. Without a cursor, or with one that cannot
// be served, the first line is a reset.
func (f *Feed) Subscribe(ctx context.Context, cursor string) <-chan Line {
	lines := make(chan Line)
	go func() {
		defer close(lines)
		for {
			line, changed := f.after(cursor)
			if changed != nil {
				select {
				case <-changed:
					continue
				case <-ctx.Done():
					return
				}
			}
			select {
			case lines <- line:
				cursor = line.Cursor
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// after gives the next line behind a cursor, or what to wait for where there is none yet.
func (f *Feed) after(cursor string) (Line, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch == "" {
		return Line{}, f.changed // nothing loaded yet
	}
	epoch, number, _ := strings.Cut(cursor, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || epoch != f.epoch || seq+1 < f.first {
		return Line{Cursor: f.cursor(f.next - 1), Reset: true}, nil
	}
	var keys []Key
	for ; seq+1 < f.next && len(keys) < lineKeys; seq++ {
		if k := f.ring[(seq+1)%remembered]; k != (Key{}) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return Line{}, f.changed
	}
	return Line{Cursor: f.cursor(seq), Keys: f.lock.names(keys)}, nil
}
