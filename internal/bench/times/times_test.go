package times

import (
	"testing"
	"time"
)

func TestHistogram_PercentilesAreWithinThreePercent(t *testing.T) {
	var h Histogram
	for n := range 100_000 {
		h.Add(time.Duration(n) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{.5: 50 * time.Millisecond, .99: 99 * time.Millisecond, .999: 99900 * time.Microsecond} {
		if got := h.At(q); got > want || got < want*97/100 {
			t.Errorf("percentile %v is %s, want %s", q, got, want)
		}
	}
}
