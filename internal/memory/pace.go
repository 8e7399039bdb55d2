package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// A small heap is collected often: it costs little, and what a flood throws away is not kept resident.
	smallHeap, smallGrowth = 16 << 20, 25
	// Once the caches are full, the heap may grow to five times what is alive before the collector runs. Measured on one
	// core at half of its capacity, against a server that does nothing: the collector's default of 100 costs 1.95 times
	// the p99, 400 costs 1.1 times (docs/performance.md).
	fullHeap, fullGrowth = 32 << 20, 400
)

// growthFor is the collector's target (as in GOGC: in percent of what is alive) for a heap of which so much is alive.
func growthFor(alive uint64) int {
	switch {
	case alive <= smallHeap:
		return smallGrowth
	case alive >= fullHeap:
		return fullGrowth
	}
	return smallGrowth + int((fullGrowth-smallGrowth)*(alive-smallHeap)/(fullHeap-smallHeap))
}

// pacer sets the target anew after each collection.
type pacer struct{ growth int }

// follow sets the target, and has itself called when the next collection is over.
func (p *pacer) follow() {
	alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(alive)
	growth := growthFor(alive[0].Value.Uint64())
	// To set it stops all threads for a moment, so small changes wait, save those to either end.
	atEnd := growth == smallGrowth || growth == fullGrowth
	if change := growth - p.growth; change != 0 && (atEnd || 8*max(change, -change) > p.growth) {
		debug.SetGCPercent(growth)
		p.growth = growth
	}
	type sentinel struct{ _ *pacer } // with a pointer, so that it is an allocation of its own and dies with the next collection
	runtime.AddCleanup(new(sentinel), (*pacer).follow, p)
}
