// Package jsontext has what the readers of JSON here share: each is strict in its own way, but all of them spend their
// time in strings.
package jsontext

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Plain is how many bytes at the front of s stand for themselves in a JSON string (RFC 8259, section 7): up to the first
// quotation mark, backslash or control character. It looks at eight bytes at a time, since the longest string by far is
// a token.
func Plain(s string) int {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if at := special(binary.LittleEndian.Uint64(b[i:])); at != 0 {
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

const (
	each = 0x0101010101010101
	high = 0x8080808080808080
)

// special has the high bit set in the first byte of x that is not plain. A borrow may mark bytes behind that one too.
func special(x uint64) uint64 {
	quote, backslash := x^each*'"', x^each*'\\'
	return ((quote-each)&^quote | (backslash-each)&^backslash | (x-each*' ')&^x) & high
}
