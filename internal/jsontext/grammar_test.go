package jsontext

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
)

func TestNumber_IsWhatTheLibraryTakesForOne(t *testing.T) {
	const letters = "-+.eE0017"
	for range 200_000 {
		b := make([]byte, 1+rand.IntN(7)) // so short that many are numbers
		for i := range b {
			b[i] = letters[rand.IntN(len(letters))]
		}
		n := Number(string(b))
		if whole := n == len(b); whole != json.Valid(b) {
			t.Fatalf("%q: %d", b, n)
		}
		if n > 0 && !json.Valid(b[:n]) {
			t.Fatalf("%q begins with no number %q", b, b[:n])
		}
	}
}

func TestEscape_IsOneCharacterOrNone(t *testing.T) {
	for s, want := range map[string]int{
		`\n`: 2, `\/x`: 2, `\u0041`: 6, `\u00e9\u0301`: 6, `\ud83d\ude00`: 12, `\uD83D\uDE00x`: 12,
		`\`: 0, `\x41`: 0, `\U0041`: 0, `\u`: 0, `\u004`: 0, `\u+041`: 0, `\u0_41`: 0, `\u00g1`: 0,
		`\ud83d`: 0, `\ud83dx`: 0, `\ud83d\u0041`: 0, `\ud83d\ud83d`: 0, `\ude00`: 0, `\ude00\ud83d`: 0, `\ud83d\ude0`: 0, `\ud83d\n`: 0,
	} {
		r, n := Escape(s)
		if n != want {
			t.Errorf("%s: %d bytes, want %d", s, n, want)
		}
		var said string
		if err := json.Unmarshal([]byte(`"`+s[:n]+`"`), &said); n > 0 && (err != nil || said != string(r)) {
			t.Errorf("%s is %q, the library says %q, %v", s, r, said, err)
		}
	}
}
