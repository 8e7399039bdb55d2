package revocation

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"
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
	// aheadFor is how long a cursor may lie ahead of us: a node that is faster is so by milliseconds. Any longer, and it
	// is of a history that the store has lost.
	aheadFor = 2 * time.Second
)

// Feed hands out the keys of what was revoked. Subscribers read from one ring at their own pace: none can hold up the
// ledger or another one, and one that falls too far behind is told so.
type Feed struct {
	lock ciphers

	mu      sync.Mutex
	epoch   string
	ring    []told // change n lies at n%remembered
	first   uint64 // number of the oldest change in the ring
	next    uint64 // number of the next change
	changed chan struct{}
}

// told is a change as the feed remembers it. The tag tells histories apart that have the same number: a store that lost
// its last changes in a failover counts on from before them, and cursors into what was lost are good no more.
type told struct {
	key Key // zero for what is no news to a session: a lift
	tag string
}

func newFeed() *Feed { return &Feed{changed: make(chan struct{})} }

// restart begins at a position in a history. Cursors into another history, or further back, are told to reset.
func (f *Feed) restart(at position, before []Change) {
	f.lock.learn(at.identity.Secret)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch, f.ring = at.identity.Epoch, make([]told, remembered)
	// The position itself is a place to go on from, with or without what lies before it.
	f.first, f.next = at.seq, at.seq+1
	f.ring[at.seq%remembered] = told{tag: at.tag}
	for i := len(before) - 1; i >= 0 && at.seq-before[i].Seq < remembered-1; i-- {
		if before[i].Seq != f.first && before[i].Seq+1 != f.first {
			break
		}
		f.first = before[i].Seq
		f.ring[f.first%remembered] = tellable(before[i])
	}
	if f.first == 1 {
		f.first, f.ring[0] = 0, told{} // the beginning of every history
	}
	f.signal()
}

// add tells the next change. The index must have it already: whoever hears of a key asks about it at once.
func (f *Feed) add(changes []Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range changes {
		f.ring[c.Seq%remembered] = tellable(c)
		f.next = c.Seq + 1
	}
	if f.next-f.first > remembered {
		f.first = f.next - remembered
	}
	f.signal()
}

func tellable(c Change) told {
	if c.Lifted {
		return told{tag: c.Tag}
	}
	return told{key: c.Entry.Key, tag: c.Tag}
}

func (f *Feed) signal() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *Feed) cursor(seq uint64) string {
	return f.epoch + "-" + strconv.FormatUint(seq, 10) + "-" + f.ring[seq%remembered].tag
}

// serves says whether the feed can go on from a cursor. One that lies ahead is of another node that is faster, or was: it
// is looked at again when we are there.
func (f *Feed) serves(cursor string) (seq uint64, ahead, ok bool) {
	epoch, rest, _ := strings.Cut(cursor, "-")
	number, tag, _ := strings.Cut(rest, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || epoch != f.epoch || seq < f.first {
		return 0, false, false
	}
	if seq >= f.next {
		return seq, true, seq-f.next < remembered
	}
	return seq, false, f.ring[seq%remembered].tag == tag
}

// Subscribe tells what was revoked since cursor, and goes on until ctx ends. Without a cursor, or with one that cannot
// be served, the first line is a reset.
func (f *Feed) Subscribe(ctx context.Context, cursor string) <-chan Line {
	lines := make(chan Line)
	go func() {
		defer close(lines)
		var lost <-chan time.Time
		for {
			line, changed, ahead := f.after(cursor)
			if !ahead {
				lost = nil
			} else if lost == nil {
				lost = time.After(aheadFor)
			}
			if changed != nil {
				select {
				case <-changed:
					continue
				case <-lost:
					cursor = ""
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

// after gives the next line behind a cursor, or what to wait for where there is none yet, and says whether the cursor lies
// ahead of us.
func (f *Feed) after(cursor string) (line Line, wait <-chan struct{}, ahead bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch == "" {
		return Line{}, f.changed, false // nothing loaded yet
	}
	seq, ahead, ok := f.serves(cursor)
	if !ok {
		return Line{Cursor: f.cursor(f.next - 1), Reset: true}, nil, false
	}
	var keys []Key
	for ; !ahead && seq+1 < f.next && len(keys) < lineKeys; seq++ {
		if k := f.ring[(seq+1)%remembered].key; k != (Key{}) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return Line{}, f.changed, ahead
	}
	return Line{Cursor: f.cursor(seq), Keys: f.lock.names(keys)}, nil, false
}
