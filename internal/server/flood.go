package server

import (
	"net/netip"
	"sync"
	"time"

	"github.com/usher-im/usher/internal/decide"
)

// floodWindow is how long bad tokens of an address are counted together, and the longest that it is then refused.
const floodWindow = time.Minute

// maxAddresses bounds what is remembered. Where more addresses than this send bad tokens within a window, the youngest
// go uncounted: better to verify for nothing than to grow without end, or to refuse somebody for another's flood.
const maxAddresses = 1 << 16

// flood counts the bad tokens of each address, and tells which address has sent too many. An address is what the
// client's connection has, of IPv6 its /64. Nobody else is ever harmed: tokens are not counted against the issuer or user
// that they name.
type flood struct {
	limit int

	mu     sync.Mutex
	counts map[netip.Prefix]int
	since  time.Time
}

func newFlood(limit int) *flood { return &flood{limit: limit, counts: map[netip.Prefix]int{}} }

// exceeded tells whether an address has sent so many bad tokens that its next ones are not looked at.
func (f *flood) exceeded(address string, now time.Time) bool {
	if f.limit == 0 {
		return false
	}
	from, ok := decide.Subscriber(address)
	if !ok {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn(now)
	return f.counts[from] >= f.limit
}

// bad notes a token whose signature was not proven.
func (f *flood) bad(address string, now time.Time) {
	if f.limit == 0 {
		return
	}
	from, ok := decide.Subscriber(address)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn(now)
	if _, known := f.counts[from]; known || len(f.counts) < maxAddresses {
		f.counts[from]++
	}
}

// turn begins a new window when the old one is over, or when the clock was set back.
func (f *flood) turn(now time.Time) {
	if age := now.Sub(f.since); age >= floodWindow || age < 0 {
		clear(f.counts)
		f.since = now
	}
}
