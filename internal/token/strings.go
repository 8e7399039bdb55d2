package token

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/usher-im/usher/internal/jsontext"
)

// str reads a string, whose quote must be next, and gives what it means. Without escapes that aliases the text.
func (s *scanner) str() string {
	inside, escaped := s.quoted()
	if !escaped {
		return inside
	}
	return unescape(inside)
}

// quoted reads a string and gives what stands between its quotes, and whether there are escapes in it. It checks
// them but makes nothing of them, for strings that nobody wants.
func (s *scanner) quoted() (inside string, escaped bool) {
	start := s.pos + 1
	for i := start; ; {
		if i += jsontext.Plain(s.text[i:]); i == len(s.text) {
			s.pos = i
			s.syntax("a string that does not end")
			return "", false
		}
		switch s.text[i] {
		case '"':
			s.pos = i + 1
			return s.text[start:i], escaped
		case '\\':
			escaped = true
			_, n := escape(s.text[i:])
			if n == 0 {
				s.pos = i
				s.syntax("an escape that is none, or half a surrogate pair,")
				return "", false
			}
			i += n
		default:
			s.pos = i
			s.syntax("a control character in a string")
			return "", false
		}
	}
}

// unescape makes of a checked string what it means. Escapes only ever get shorter.
func unescape(inside string) string {
	out := make([]byte, 0, len(inside))
	for i := 0; i < len(inside); {
		if inside[i] != '\\' {
			out = append(out, inside[i])
			i++
			continue
		}
		r, n := escape(inside[i:])
		out = utf8.AppendRune(out, r)
		i += n
	}
	return stringOf(out)
}

// escape reads the escape (RFC 8259, section 7) at the front of s, two of them for a surrogate pair, and its length;
// length 0 where it is none. A surrogate by itself is no character: what other readers make of it differs.
func escape(s string) (r rune, n int) {
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
