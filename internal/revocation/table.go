package revocation

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
)

// table is an open-addressed hash table that one writer changes while any number of readers look up without a lock.
//
// Slots lie in groups of eight; the eight one-byte tags of a group are one word, so that a lookup reads one word and
// nearly always one slot or none. A slot's key is written once, before its tag, and never reused: what goes leaves a
// grave behind, and a table that is full of entries and graves is built anew and swapped. So a reader that saw a tag
// always finds the key that belongs to it.
type table struct {
	// seed and odd scatter the keys by a secret of this process: keys whose first bits agree can be made by trying
	// names, a place in this table cannot.
	seed, odd uint64
	tags      []uint64
	slots     []slot
	used      int // entries and graves; the writer's
}

type slot struct {
	hi, lo uint64
	before int64  // Unix milliseconds, 0: every token
	meta   uint64 // expiry in Unix milliseconds<<8 (0: never), kind
}

const (
	grouped = 8
	lows    = 0x0101010101010101
	highs   = 0x8080808080808080

	tagEmpty = 0
	tagGrave = 1 // live tags have the high bit
)

func newTable(entries int) *table {
	groups := entries*4/3/grouped + 1
	return &table{
		seed: rand.Uint64(), odd: rand.Uint64() | 1,
		tags: make([]uint64, groups), slots: make([]slot, groups*grouped),
	}
}

// full says that the next entry would make lookups of absent keys long.
func (t *table) full() bool { return t.used >= len(t.slots)/8*7 }

func split(k Key) (hi, lo uint64) {
	return binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:])
}

func (s *slot) key() (k Key) {
	binary.LittleEndian.PutUint64(k[:8], s.hi)
	binary.LittleEndian.PutUint64(k[8:], s.lo)
	return k
}

func (s *slot) expires() int64 { return int64(atomic.LoadUint64(&s.meta) >> 8) }
func (s *slot) kind() kind     { return kind(atomic.LoadUint64(&s.meta)) }

func (t *table) group(hi uint64) uint64 {
	g, _ := bits.Mul64((hi^t.seed)*t.odd, uint64(len(t.tags)))
	return g
}

func tagOf(lo uint64) uint64 { return lo&0x7f | 0x80 }

// matching marks the bytes of word that equal tag. It may mark one byte too many above a true match (the borrow of the
// subtraction), which the comparison of keys catches; whether there is any match at all it always gets right.
func matching(word, tag uint64) uint64 {
	x := word ^ tag*lows
	return (x - lows) &^ x & highs
}

// find gives the place of a key's live slot, or -1.
func (t *table) find(k Key) int {
	hi, lo := split(k)
	g := t.group(hi)
	return t.findFrom(g, t.word(g), hi, lo)
}

// word reads the tags of a group.
func (t *table) word(g uint64) uint64 { return atomic.LoadUint64(&t.tags[g]) }

// findFrom goes on from a key's group whose tags have been read.
func (t *table) findFrom(g, word, hi, lo uint64) int {
	tag := tagOf(lo)
	for {
		for m := matching(word, tag); m != 0; m &= m - 1 {
			at := g*grouped + uint64(bits.TrailingZeros64(m))/8
			if s := &t.slots[at]; s.hi == hi && s.lo == lo {
				return int(at)
			}
		}
		if matching(word, tagEmpty) != 0 {
			return -1
		}
		if g++; g == uint64(len(t.tags)) {
			g = 0
		}
		word = t.word(g)
	}
}

// insert adds a key that is not there to a table that is not full.
func (t *table) insert(s slot) {
	tag, g := tagOf(s.lo), t.group(s.hi)
	for {
		word := t.tags[g]
		if m := matching(word, tagEmpty); m != 0 {
			at := uint64(bits.TrailingZeros64(m)) / 8
			t.slots[g*grouped+at] = s
			atomic.StoreUint64(&t.tags[g], word|tag<<(at*8))
			t.used++
			return
		}
		if g++; g == uint64(len(t.tags)) {
			g = 0
		}
	}
}

// bury takes a slot of this table out of it.
func (t *table) bury(at int) {
	g, shift := at/grouped, uint(at%grouped)*8
	atomic.StoreUint64(&t.tags[g], t.tags[g]&^(0xff<<shift)|tagGrave<<shift)
}

func (t *table) live(at int) bool {
	return t.tags[at/grouped]>>(uint(at%grouped)*8)&0x80 != 0
}
