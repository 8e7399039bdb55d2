// Package times counts how long things took and says within which time how many of them were done.
package times

import (
	"math/bits"
	"time"
)

// Histogram counts times in buckets that are a 32nd of their size wide, so that percentiles are within 3 %.
type Histogram struct {
	buckets [64 * perOctave]uint32
	n       uint64
}

const (
	perOctave = 32
	shift     = 5
)

// Add counts one.
func (h *Histogram) Add(d time.Duration) {
	h.n++
	h.buckets[bucketOf(uint64(max(d, 0)))]++
}

func bucketOf(v uint64) int {
	if v < perOctave {
		return int(v)
	}
	octave := bits.Len64(v) - shift - 1
	return (octave+1)*perOctave + int(v>>octave)&(perOctave-1)
}

// least is the smallest value of a bucket.
func least(bucket int) time.Duration {
	if bucket < perOctave {
		return time.Duration(bucket)
	}
	octave := bucket/perOctave - 1
	return time.Duration(perOctave+bucket%perOctave) << octave
}

// Merge takes over what another has counted.
func (h *Histogram) Merge(other *Histogram) {
	h.n += other.n
	for i, c := range other.buckets {
		h.buckets[i] += c
	}
}

// At is the time within which the part q of all was done.
func (h *Histogram) At(q float64) time.Duration {
	want, seen := uint64(q*float64(h.n)), uint64(0)
	for i, c := range h.buckets {
		if seen += uint64(c); seen > want {
			return least(i)
		}
	}
	return 0
}
