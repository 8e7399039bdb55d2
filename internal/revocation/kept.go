package revocation

import (
	"container/list"
	"sync"
)

// keptBytes bounds what a node remembers of revocations in full.
const keptBytes = 4 << 20

// details remembers the latest revocations in full, so that a node that puts one back into an emptied store can also
// say what it was.
type details struct {
	mu    sync.Mutex
	byKey map[Key]*list.Element
	order list.List
	bytes int
}

func size(r *Revocation) int {
	return 200 + len(r.Issuer) + len(r.Value) + len(r.Reason) + len(r.Actor)
}

func (l *Ledger) keep(r Revocation) {
	d := &l.details
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byKey == nil {
		d.byKey = map[Key]*list.Element{}
	}
	if old, there := d.byKey[r.Key()]; there {
		d.drop(old)
	}
	d.byKey[r.Key()] = d.order.PushBack(&r)
	d.bytes += size(&r)
	for d.bytes > keptBytes {
		d.drop(d.order.Front())
	}
}

func (d *details) drop(e *list.Element) {
	r := e.Value.(*Revocation)
	d.order.Remove(e)
	d.bytes -= size(r)
	delete(d.byKey, r.Key())
}

func (l *Ledger) kept(k Key) *Revocation {
	l.details.mu.Lock()
	defer l.details.mu.Unlock()
	if e, there := l.details.byKey[k]; there {
		return e.Value.(*Revocation)
	}
	return nil
}
