package audit

import (
	"regexp"
	"runtime"
	"strconv"
	"sync/atomic"
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
		drained(p)
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

func TestPipeline_LagIsToldOfAStoreThatWasNeverThere(t *testing.T) {
	store := &shelf{away: true}
	var ahead atomic.Int64
	p, _ := start(t, store, Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	p.Record(numbered(1))
	drained(p)
	ahead.Store(int64(time.Hour))
	if lag := p.lag(); lag < 59*time.Minute {
		t.Errorf("a lag of %s after an hour", lag)
	}
	store.set(func() { store.away = false })
	flush(t, p)
	for p.lag() > 0 { // it is told as soon as the store has all
		runtime.Gosched()
	}
}
