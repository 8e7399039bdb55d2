package audit

import (
	"errors"
	"strconv"
	"testing"
	"time"
)

func TestTally_EndsBeforeItTakesTheMemoryOfTheNode(t *testing.T) {
	q := StatsQuery{By: "user", Every: time.Hour}
	tally := q.Tally()
	for n := range mostCounts {
		if !tally.Add(0, strconv.Itoa(n), 1) {
			t.Fatalf("the end after %d", n)
		}
	}
	if !tally.Add(1, "0", 1) {
		t.Error("one more of what is counted takes no room")
	}
	if counts, err := tally.Counts(); len(counts) != MostKeys || counts[0].Count != 2 || err != nil {
		t.Error(len(counts), err)
	}
	if tally.Add(0, "one more", 1) {
		t.Error("there is no end")
	}
	if _, err := tally.Counts(); !errors.Is(err, ErrUncountable) {
		t.Error(err)
	}
}
