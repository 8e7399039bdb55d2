package revocation

import (
	"encoding/binary"
	"runtime"
	"testing"
)

const million = 1_000_000

// filled is an index of n entries, spread over the selectors as a busy fleet has them.
func filled(n int, selectors ...Selector) *Index {
	x := NewIndex(n)
	for i := range n {
		var value [8]byte
		binary.LittleEndian.PutUint64(value[:], uint64(i))
		s := selectors[i%len(selectors)]
		x.Put(Entry{Key: keyOf(kindOf[s], "app", string(value[:])), Selector: s})
	}
	return x
}

func tokens() []Marks {
	ms := make([]Marks, 1<<16)
	for i := range ms {
		s := somebody
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(i))
		s.JTI, s.User = "j"+string(b[:]), "u"+string(b[:])
		copy(s.Fingerprint[8:], b[:])
		s.Fingerprint[0] = byte(i * 7)
		ms[i] = MarksOf(s)
	}
	return ms
}

func BenchmarkIndex_Check(b *testing.B) {
	for _, c := range []struct {
		name string
		x    *Index
	}{
		{"empty", NewIndex(0)},
		{"1M_tokens", filled(million, SelectToken)},
		{"1M_jtis_and_users", filled(million, SelectJTI, SelectUser)},
		{"1M_of_all_selectors", filled(million, Selectors()...)},
	} {
		ms := tokens()
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, revoked := c.x.Check(&ms[i&(len(ms)-1)], 1); revoked {
					b.Fatal("revoked")
				}
			}
		})
	}
}

func BenchmarkMarksOf(b *testing.B) {
	var shared Shared
	usual := Subject{Issuer: "app", JTI: "0123456789abcdef", User: "user-12345", KeyID: "2026-a", Rooms: []string{"standup"}, Tenant: "acme"}
	b.ReportAllocs()
	for b.Loop() {
		shared.MarksOf(usual)
	}
}

func BenchmarkIndex_Grow(b *testing.B) {
	x := filled(million, SelectJTI)
	for b.Loop() {
		x.rebuild(x.current.Load())
	}
}

func BenchmarkIndex_Memory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		x := filled(million, Selectors()...)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(x.Len()), "B/entry")
	}
}
