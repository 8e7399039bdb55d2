package server

import "math/bits"

// question is one that was asked: four of them share a cache line, and it holds no pointer, so that the collector passes
// over all that are remembered.
type question struct {
	key  uint64 // of the hash of caller and id, as is also; never 0, which is an empty slot
	also uint16
	body uint16 // of the hash of the whole question: enough to notice a caller that uses an id twice
	at   uint32 // milliseconds from the beginning of its generation
}

// asked is a set of questions by their key: a hash table with open addressing, since a lookup in it waits for memory
// once, where one in a Go map does so three times, and every answer pays for two lookups. The zero value is empty.
type asked struct {
	slots []question
	used  int
	since int64 // when this generation began, in Unix milliseconds
}

// fewest is how many slots a set begins with.
const fewest = 64

// begin is where the search for a key begins: the high half of the product spreads keys evenly over any number of slots.
// Their low bits choose the shard already, so they are mixed in from above.
func (a *asked) begin(key uint64) int {
	at, _ := bits.Mul64(key*0x9E3779B97F4A7C15, uint64(len(a.slots)))
	return int(at)
}

// find gives the question that was asked under the id of like, or nil.
func (a *asked) find(like *question) *question {
	if a.used == 0 {
		return nil
	}
	for at := a.begin(like.key); ; at++ {
		if at == len(a.slots) {
			at = 0
		}
		q := &a.slots[at]
		if q.key == like.key && q.also == like.also {
			return q
		}
		if q.key == 0 {
			return nil
		}
	}
}

// add takes a question that is not in the set. The set grows before it is three quarters full, so that searches stay
// short and always come to an end.
func (a *asked) add(q question) {
	if 4*(a.used+1) > 3*len(a.slots) {
		grown := asked{slots: make([]question, max(fewest, len(a.slots)*3/2)), since: a.since}
		for _, old := range a.slots {
			if old.key != 0 {
				grown.place(old)
			}
		}
		*a = grown
	}
	a.place(q)
}

func (a *asked) place(q question) {
	at := a.begin(q.key)
	for a.slots[at].key != 0 {
		if at++; at == len(a.slots) {
			at = 0
		}
	}
	a.slots[at] = q
	a.used++
}
