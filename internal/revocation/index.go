package revocation

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Entry is what an index holds of a revocation.
type Entry struct {
	Key      Key
	Selector Selector
	// IssuedBefore spares tokens issued at that time or later; Unix milliseconds, 0 spares none.
	IssuedBefore int64
	// ExpiresAt is when the entry goes by itself; Unix milliseconds, 0 never.
	ExpiresAt int64
}

// Index answers whether a token is revoked, from memory. Any number of goroutines may look up while one writes;
// lookups take no lock and allocate nothing.
type Index struct {
	current atomic.Pointer[table]
	// present has a bit for each kind of which there is an entry, so that an empty index costs one load.
	present atomic.Uint32
	counts  [kinds]atomic.Int64

	mu      sync.Mutex // held by writers
	sweepAt int
}

// NewIndex gives an empty index with room for so many entries.
func NewIndex(entries int) *Index {
	x := &Index{}
	x.current.Store(newTable(entries))
	return x
}

// Check says whether a token is revoked at nowMS (Unix milliseconds), and by which revocation.
func (x *Index) Check(m *Marks, nowMS int64) (id string, revoked bool) {
	present := x.present.Load() & m.present
	if present == 0 {
		return "", false
	}
	return x.check(m, present, nowMS)
}

func (x *Index) check(m *Marks, present uint32, nowMS int64) (id string, revoked bool) {
	// First read where each key would lie, then look: the reads are from all over memory, and so they wait for it
	// together and not one after the other.
	t := x.current.Load()
	var groups, words [inline]uint64
	for i := range int(m.n) {
		if present&(1<<m.kinds[i]) != 0 {
			hi, _ := split(m.keys[i])
			groups[i] = t.group(hi)
			words[i] = t.word(groups[i])
		}
	}
	for i := range int(m.n) {
		if present&(1<<m.kinds[i]) == 0 {
			continue
		}
		hi, lo := split(m.keys[i])
		if at := t.findFrom(groups[i], words[i], hi, lo); at >= 0 && t.slots[at].revokes(m.IssuedAt, nowMS) {
			return m.keys[i].String(), true
		}
	}
	for _, k := range m.more {
		if at := t.find(k); at >= 0 && t.slots[at].revokes(m.IssuedAt, nowMS) {
			return k.String(), true
		}
	}
	return "", false
}

// revokes: a token without iat counts as older than any issued_before.
func (s *slot) revokes(issuedAt, now int64) bool {
	if expires := s.expires(); expires != 0 && now >= expires {
		return false
	}
	before := atomic.LoadInt64(&s.before)
	return before == 0 || issuedAt < before
}

// Revokes says whether the entry means a token that was issued at issuedAt (0: no iat), at now.
func (e Entry) Revokes(issuedAt, now int64) bool {
	s := e.slot()
	return s.revokes(issuedAt, now)
}

func (e Entry) slot() slot {
	hi, lo := split(e.Key)
	return slot{hi: hi, lo: lo, before: e.IssuedBefore, meta: uint64(e.ExpiresAt)<<8 | uint64(kindOf[e.Selector])}
}

func (s *slot) entry() Entry {
	return Entry{Key: s.key(), Selector: selectorOf[s.kind()], IssuedBefore: atomic.LoadInt64(&s.before), ExpiresAt: s.expires()}
}

// Put adds an entry, or replaces what the index holds under its key.
func (x *Index) Put(e Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.put(e.slot())
}

func (x *Index) put(s slot) {
	t := x.current.Load()
	if at := t.find(s.key()); at >= 0 {
		old := &t.slots[at]
		// Two stores, one after the other: a reader between them sees the old or the new value of each, and every
		// combination lies between what was and what will be.
		atomic.StoreInt64(&old.before, s.before)
		atomic.StoreUint64(&old.meta, s.meta)
		return
	}
	if t.full() {
		t = x.rebuild(t)
	}
	t.insert(s)
	x.count(s.kind(), 1)
}

// putAhead adds what the store has not told yet, where the index does not have it.
func (x *Index) putAhead(entries []ahead) {
	for _, a := range entries {
		if !x.covers(a.entry) {
			x.Put(a.entry)
		}
	}
}

// Remove takes an entry out and reports whether it was there.
func (x *Index) Remove(k Key) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.current.Load()
	at := t.find(k)
	if at < 0 {
		return false
	}
	x.bury(t, at)
	return true
}

func (x *Index) bury(t *table, at int) {
	t.bury(at)
	x.count(t.slots[at].kind(), -1)
}

func (x *Index) count(k kind, by int64) {
	n := x.counts[k].Add(by)
	if n == 0 {
		x.present.And(^uint32(1 << k))
	} else if n == by {
		x.present.Or(1 << k)
	}
}

// rebuild makes a table without graves, with room to grow by half, and swaps it in.
func (x *Index) rebuild(old *table) *table {
	t := newTable(x.Len()*3/2 + 64)
	for at := range old.slots {
		if old.live(at) {
			t.insert(old.slots[at])
		}
	}
	x.current.Store(t)
	x.sweepAt = 0
	return t
}

// Len is the number of entries, with those that have expired and are still kept.
func (x *Index) Len() int {
	var n int64
	for i := range x.counts {
		n += x.counts[i].Load()
	}
	return int(n)
}

func (x *Index) capacity() int { return len(x.current.Load().slots) }

// covers says whether what the index holds under an entry's key, expired or not, means all that the entry means.
func (x *Index) covers(e Entry) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.current.Load()
	at := t.find(e.Key)
	return at >= 0 && reaches(t.slots[at].before, e.IssuedBefore) && reaches(t.slots[at].expires(), e.ExpiresAt)
}

// reaches compares times of which none (0) is the latest.
func reaches(a, b int64) bool { return a == 0 || b != 0 && a >= b }

// Active counts the entries by selector, less those that have expired. It walks the whole table, and holds up nobody.
func (x *Index) Active(nowMS int64) map[Selector]int {
	var counts [kinds]int
	t := x.current.Load()
	for g := range t.tags {
		for m := t.word(uint64(g)) & highs; m != 0; m &= m - 1 {
			s := &t.slots[g*grouped+bits.TrailingZeros64(m)/8]
			if expires := s.expires(); expires == 0 || nowMS < expires {
				counts[s.kind()]++
			}
		}
	}
	active := map[Selector]int{}
	for _, s := range Selectors() {
		active[s] = counts[kindOf[s]]
	}
	return active
}

// Each calls yield with every entry until it says false.
func (x *Index) Each(yield func(Entry) bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.current.Load()
	for at := range t.slots {
		if t.live(at) && !yield(t.slots[at].entry()) {
			return
		}
	}
}

// Sweep takes entries that expired ExpiredFor ago out of a part of the table, and the next part the next time. This gives
// their memory back.
func (x *Index) Sweep(nowMS int64, slots int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.current.Load()
	for range min(slots, len(t.slots)) {
		if x.sweepAt >= len(t.slots) {
			x.sweepAt = 0
		}
		if s := &t.slots[x.sweepAt]; t.live(x.sweepAt) {
			if expires := s.expires(); expires != 0 && nowMS >= expires+ExpiredFor.Milliseconds() {
				x.bury(t, x.sweepAt)
			}
		}
		x.sweepAt++
	}
}

// replace takes over the entries of an index that was filled aside.
func (x *Index) replace(with *Index) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.current.Store(with.current.Load())
	for k := range x.counts {
		x.counts[k].Store(with.counts[k].Load())
	}
	x.present.Store(with.present.Load())
	x.sweepAt = 0
}
