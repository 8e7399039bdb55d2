package wire

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"github.com/usher-im/usher/internal/jsontext"
)

// maxDepth bounds the nesting of members that are skipped.
const maxDepth = 16

var errString = errors.New("not a string")

// scanner walks over one JSON text (RFC 8259) that is known to be valid UTF-8.
type scanner struct {
	in  []byte
	pos int
}

func (s *scanner) fail(what string) error { return fmt.Errorf("%s at byte %d", what, s.pos) }

// peek gives the next byte that is no white space, or 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.in); s.pos++ {
		switch c := s.in[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take steps over c if it comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// text reads a string. Without escapes it aliases the input.
func (s *scanner) text() (string, error) {
	if !s.take('"') {
		return "", errString
	}
	start := s.pos
	rest := unsafe.String(unsafe.SliceData(s.in), len(s.in))[start:]
	n := jsontext.Plain(rest)
	if s.pos += n; s.pos == len(s.in) {
		return "", s.fail("a string without an end")
	}
	switch s.in[s.pos] {
	case '"':
		s.pos++
		return rest[:n], nil
	case '\\':
		return s.escaped(start)
	}
	return "", s.fail("a control character in a string")
}

// escaped reads the rest of a string whose first escape is at pos.
func (s *scanner) escaped(start int) (string, error) {
	out := append(make([]byte, 0, 2*(s.pos-start)+16), s.in[start:s.pos]...)
	for s.pos < len(s.in) {
		c := s.in[s.pos]
		s.pos++
		switch {
		case c == '"':
			return string(out), nil
		case c < 0x20:
			return "", s.fail("a control character in a string")
		case c != '\\':
			out = append(out, c)
			continue
		}
		r, err := s.escape()
		if err != nil {
			return "", err
		}
		out = utf8.AppendRune(out, r)
	}
	return "", s.fail("a string without an end")
}

// escape reads what follows a backslash. Surrogates come in pairs or not at all.
func (s *scanner) escape() (rune, error) {
	if s.pos >= len(s.in) {
		return 0, s.fail("a string without an end")
	}
	c := s.in[s.pos]
	s.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return s.codePoint()
	}
	return 0, s.fail("an unknown escape")
}

func (s *scanner) codePoint() (rune, error) {
	r, err := s.hex4()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if s.pos+1 >= len(s.in) || s.in[s.pos] != '\\' || s.in[s.pos+1] != 'u' {
		return 0, s.fail("half a surrogate pair")
	}
	s.pos += 2
	low, err := s.hex4()
	if err != nil {
		return 0, err
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, s.fail("half a surrogate pair")
	}
	return r, nil
}

func (s *scanner) hex4() (rune, error) {
	if s.pos+4 > len(s.in) {
		return 0, s.fail("a string without an end")
	}
	var r rune
	for _, c := range s.in[s.pos : s.pos+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, s.fail("an escape that is not hexadecimal")
		}
		r = r<<4 | rune(c)
	}
	s.pos += 4
	return r, nil
}

func (s *scanner) literal(word string) bool {
	if s.peek(); len(s.in)-s.pos < len(word) || string(s.in[s.pos:s.pos+len(word)]) != word {
		return false
	}
	s.pos += len(word)
	return true
}

func (s *scanner) boolean() (bool, error) {
	if s.literal("true") {
		return true, nil
	}
	if s.literal("false") {
		return false, nil
	}
	return false, s.fail("not a boolean")
}

// skip steps over any value.
func (s *scanner) skip(depth int) error {
	if depth > maxDepth {
		return s.fail("nested too deeply")
	}
	switch c := s.peek(); {
	case c == '"':
		_, err := s.text()
		return err
	case c == '{':
		return s.skipAll('}', depth, true)
	case c == '[':
		return s.skipAll(']', depth, false)
	case c == '-' || '0' <= c && c <= '9':
		return s.skipNumber()
	case s.literal("true") || s.literal("false") || s.literal("null"):
		return nil
	}
	return s.fail("not a JSON value")
}

// skipAll steps over an object or array, whose opening comes next, up to its closing.
func (s *scanner) skipAll(closing byte, depth int, named bool) error {
	s.pos++
	for first := true; !s.take(closing); first = false {
		if !first && !s.take(',') {
			return s.fail("expected a comma")
		}
		if named {
			if _, err := s.text(); err != nil {
				return s.fail("expected a name")
			}
			if !s.take(':') {
				return s.fail("expected a colon")
			}
		}
		if err := s.skip(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// skipNumber steps over a number by the grammar of RFC 8259, section 6.
func (s *scanner) skipNumber() error {
	s.byteIf('-')
	if !s.byteIf('0') && !s.digits() {
		return s.fail("not a number")
	}
	if s.byteIf('.') && !s.digits() {
		return s.fail("not a number")
	}
	if s.byteIf('e') || s.byteIf('E') {
		if !s.byteIf('+') {
			s.byteIf('-')
		}
		if !s.digits() {
			return s.fail("not a number")
		}
	}
	return nil
}

func (s *scanner) byteIf(c byte) bool {
	if s.pos < len(s.in) && s.in[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.in) && '0' <= s.in[s.pos] && s.in[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}
