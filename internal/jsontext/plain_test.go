package jsontext

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func byByte(s string) int {
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' || c < ' ' {
			return i
		}
	}
	return len(s)
}

func TestPlain_EndsAtWhateverIsNoPlainCharacter(t *testing.T) {
	for c := range 256 {
		for at := range 70 {
			s := strings.Repeat("é", 5)[:at%11] + strings.Repeat("x", at) + string([]byte{byte(c)}) + "tail\"\\\x00"
			if got, want := Plain(s), byByte(s); got != want {
				t.Fatalf("%q: %d, want %d", s, got, want)
			}
		}
	}
}

func TestPlain_AgreesWithALookAtEachByte(t *testing.T) {
	for range 100_000 {
		b := make([]byte, rand.IntN(100))
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		if got, want := Plain(string(b)), byByte(string(b)); got != want {
			t.Fatalf("%q: %d, want %d", b, got, want)
		}
	}
}

func BenchmarkPlain(b *testing.B) {
	for name, n := range map[string]int{"short": 12, "token": 1024} {
		s := strings.Repeat("e", n) + `"`
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Plain(s)
			}
		})
		b.Run(name+"ByByte", func(b *testing.B) {
			for b.Loop() {
				byByte(s)
			}
		})
	}
}
