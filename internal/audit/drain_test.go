package audit

import (
	"context"
	"regexp"
	"strconv"
	"testing"
	"time"
)

func TestPipeline_TheLogTellsOfEveryEventThatWasShed(t *testing.T) {
	store := &shelf{away: true}
	p, log := start(t, store, Options{SpillMax: 2 * drainBytes})
	for range 3 { // the first is told of at once, the others within the same minute
		for i := range 10_000 {
			p.Record(numbered(i))
		}
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_ = p.Flush(short)
		cancel()
	}
	store.set(func() { store.away = false })
	if err := p.Close(soon(t)); err != nil {
		t.Fatal(err)
	}
	var told int64
	for _, m := range regexp.MustCompile(`(\d+) audit events were shed`).FindAllStringSubmatch(log.String(), -1) {
		n, _ := strconv.ParseInt(m[1], 10, 64)
		told += n
	}
	if shed := p.shed.Load(); shed == 0 || told != shed {
		t.Errorf("the log tells of %d shed events, %d were:\n%s", told, shed, log)
	}
}
