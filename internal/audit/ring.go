package audit

import "sync/atomic"

// ring is the bounded queue between the verify path and the spill: many writers, one reader, no lock.
//
// Events lie in it packed, so that it holds no pointers (nothing for the collector to walk) and no string of a caller's
// buffer outlives the call. It is a row of terms. A writer reserves blocks by one atomic add on its term's tail, packs
// in place and publishes by storing the record's length; the reader follows the lengths. Whoever finds a term full
// moves everybody to the next one: a writer that is put to sleep anywhere holds up the reader, never another writer.
type ring struct {
	active atomic.Uint64 // the term that takes records; it lies in terms[active % len(terms)]
	freed  atomic.Uint64 // terms below this one have been read and are clean
	asleep atomic.Bool   // the reader waits for the first record
	wake   chan struct{}
	terms  []term

	at    uint64 // reader: the term it reads
	block uint64 // reader: the next block in it
	read  atomic.Uint64
}

const (
	blockSize  = 64
	termBlocks = 4096 // 256 KiB a term
	ringTerms  = 64   // 16 MiB: more than two seconds of 20,000 events a second
)

type term struct {
	tail atomic.Uint64 // number of the term<<32 + blocks reserved; past termBlocks once the term is full
	_    [56]byte      // keeps the tails of two terms off one cache line
	// published holds, at a record's first block, its blocks<<16 | length once it is written. Length 0 is padding.
	published []atomic.Uint32
	data      []byte
}

func newRing(terms int) *ring {
	r := &ring{wake: make(chan struct{}, 1), terms: make([]term, terms)}
	memory := ringMemory(r, terms*termBlocks*blockSize)
	for i := range r.terms {
		r.terms[i].tail.Store(uint64(i) << 32)
		r.terms[i].published = make([]atomic.Uint32, termBlocks)
		r.terms[i].data = memory[i*termBlocks*blockSize:][:termBlocks*blockSize]
	}
	return r
}

// put packs e into the ring; false where it is full.
func (r *ring) put(e *Event) bool {
	fields := e.texts()
	blocks := uint64(packedBound(e, &fields)+blockSize-1) / blockSize
	t, at, ok := r.reserve(blocks)
	if !ok {
		return false
	}
	space := t.data[at*blockSize : (at+blocks)*blockSize]
	packed := pack(space[:0], e, &fields)
	t.published[at].Store(uint32(blocks)<<16 | uint32(len(packed)))
	if r.asleep.Load() && r.asleep.CompareAndSwap(true, false) {
		r.poke()
	}
	return true
}

func (r *ring) reserve(blocks uint64) (*term, uint64, bool) {
	for {
		n := r.active.Load()
		t := &r.terms[n%uint64(len(r.terms))]
		if uint32(t.tail.Load()) < termBlocks {
			tail := t.tail.Add(blocks)
			at := uint64(uint32(tail)) - blocks
			if at+blocks <= termBlocks && tail>>32 == n {
				return t, at, true
			}
			// Either the end of the term, or n is old by now and this is a place in a term whose time is yet to come,
			// where a record would wait for it: left empty.
			if at < termBlocks {
				t.published[at].Store(uint32(min(blocks, termBlocks-at)) << 16)
			}
		}
		if int64(n+1-r.freed.Load()) >= int64(len(r.terms)) {
			return nil, 0, false
		}
		if r.active.CompareAndSwap(n, n+1) {
			r.poke()
		}
	}
}

func (r *ring) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// next gives the oldest record, for the one reader; it stays valid until the call after.
func (r *ring) next() ([]byte, bool) {
	for {
		t := &r.terms[r.at%uint64(len(r.terms))]
		if r.block == termBlocks {
			r.active.CompareAndSwap(r.at, r.at+1) // nobody did, where the last record fitted to the block
			if r.active.Load() == r.at+1 {
				giveBack(t.data) // nothing waits: a node that has little to tell keeps little memory for it
			}
			t.tail.Store((r.at + uint64(len(r.terms))) << 32)
			r.at, r.block = r.at+1, 0
			r.freed.Store(r.at)
			continue
		}
		record := t.published[r.block].Load()
		if record == 0 {
			r.read.Store(r.at*termBlocks + r.block)
			return nil, false
		}
		t.published[r.block].Store(0)
		start := r.block * blockSize
		r.block += uint64(record >> 16)
		if size := uint64(record & 0xffff); size > 0 {
			return t.data[start : start+size : start+size], true
		}
	}
}

// sleep says that the reader is about to wait; false where something has come meanwhile.
func (r *ring) sleep() bool {
	r.asleep.Store(true)
	t := &r.terms[r.at%uint64(len(r.terms))]
	if r.block == termBlocks || t.published[r.block].Load() != 0 {
		r.asleep.Store(false)
		return false
	}
	return true
}

// waiting is how many bytes lie in the ring beyond what the reader had taken when it last found nothing.
func (r *ring) waiting() int64 {
	n := r.active.Load()
	tail := min(uint64(uint32(r.terms[n%uint64(len(r.terms))].tail.Load())), termBlocks)
	return max(0, int64(n*termBlocks+tail)-int64(r.read.Load())) * blockSize
}
