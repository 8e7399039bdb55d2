package audit

import (
	"fmt"
	"sync"
	"testing"
)

func TestRing_GivesBackWhatWasPutInOrderOfEachWriter(t *testing.T) {
	const writers, each = 4, 30_000
	r := newRing(4)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := 0; n < each; {
				e := Event{Time: noon, Node: fmt.Sprint(w), LatencyUS: int64(n), UserAgent: "some agent that takes a bit of room"}
				if r.put(&e) {
					n++
				}
			}
		})
	}
	var next [writers]int64
	for got := 0; got < writers*each; {
		data, ok := r.next()
		if !ok {
			if r.sleep() {
				<-r.wake
			}
			continue
		}
		e, err := Unpack(data)
		if err != nil {
			t.Fatal(err)
		}
		w := e.Node[0] - '0'
		if e.LatencyUS != next[w] {
			t.Fatalf("writer %d: got %d, want %d", w, e.LatencyUS, next[w])
		}
		next[w]++
		got++
	}
	wg.Wait()
	if _, ok := r.next(); ok {
		t.Error("one more than was put")
	}
}

func TestRing_FullRefusesAndGoesOnWhenRead(t *testing.T) {
	r := newRing(2)
	e := full()
	n := 0
	for r.put(&e) {
		n++
	}
	if r.waiting() == 0 {
		t.Error("a full ring says nothing waits")
	}
	for range n {
		if _, ok := r.next(); !ok {
			t.Fatal("lost a record")
		}
	}
	if _, ok := r.next(); ok {
		t.Fatal("a record that was refused is there")
	}
	if n := r.waiting(); n != 0 { // also where the reader has not gone to sleep, as under a steady load
		t.Errorf("%d bytes wait in a queue that was read to its end", n)
	}
	if !r.put(&e) {
		t.Error("still full after reading")
	}
}

func TestRing_PutDoesNotAllocate(t *testing.T) {
	r := newRing(16)
	e := full()
	if n := testing.AllocsPerRun(1000, func() { r.put(&e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRing(b *testing.B) {
	r := newRing(ringTerms)
	e := full()
	b.ReportAllocs()
	for b.Loop() {
		r.put(&e)
		r.next()
	}
}
