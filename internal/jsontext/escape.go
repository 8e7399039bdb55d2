package jsontext

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Escape reads the escape (RFC 8259, section 7) at the front of s, two of them for a surrogate pair, and its length;
// length 0 where it is none. A surrogate by itself is no character: what other readers make of it differs.
func Escape(s string) (r rune, n int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		return unicodeEscape(s)
	}
	return 0, 0
}

func unicodeEscape(s string) (r rune, n int) {
	r, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := hex4(s[6:])
	if !ok {
		return 0, 0
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

// hex4 reads the four hex digits of a \u escape at the front of s.
func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	// ParseUint takes a sign or an underscore with base 0 alone.
	v, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(v), err == nil
}
