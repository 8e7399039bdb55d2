// Package jsontext has what the readers of JSON here share: each is strict in its own way, but a number is a number to all of
// them, and an escape one character, and all of them spend their time in strings.
package jsontext

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Plain is how many bytes at the front of s stand for themselves in a JSON string (RFC 8259, section 7): up to the first
// quotation mark, backslash or control character. It looks at 32 bytes at a time and then at eight, since the longest string
// by far is a token.
func Plain(s string) int {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	i := 0
	for ; i+32 <= len(b); i += 32 {
		w := b[i : i+32]
		if special(word(w))|special(word(w[8:]))|special(word(w[16:]))|special(word(w[24:])) != 0 {
			break
		}
	}
	for ; i+8 <= len(b); i += 8 {
		if at := special(word(b[i:])); at != 0 {
			return i + bits.TrailingZeros64(at)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < ' ' {
			break
		}
	}
	return i
}

func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

const (
	each = 0x0101010101010101
	high = 0x8080808080808080
)

// special has the high bit set in the first byte of x that is not plain. A borrow may mark bytes behind that one too. With
// one bit turned over, the quotation mark comes right behind the control characters, and all of them are less than '!'.
func special(x uint64) uint64 {
	backslash := x ^ each*'\\'
	return (((x^each*('"'^' '))-each*'!')&^x | (backslash-each)&^backslash) & high
}
