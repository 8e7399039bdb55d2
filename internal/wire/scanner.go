package wire

import (
	"errors"
	"fmt"
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

// rest is what has not been read yet. It aliases the input.
func (s *scanner) rest() string {
	return unsafe.String(unsafe.SliceData(s.in), len(s.in))[s.pos:]
}

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
	start, rest := s.pos, s.rest()
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
	text := s.rest()
	out := append(make([]byte, 0, 2*(s.pos-start)+16), s.in[start:s.pos]...)
	for {
		plain := jsontext.Plain(text)
		out, text = append(out, text[:plain]...), text[plain:]
		s.pos = len(s.in) - len(text)
		if text == "" {
			return "", s.fail("a string without an end")
		}
		switch text[0] {
		case '"':
			s.pos++
			return string(out), nil
		case '\\':
		default:
			return "", s.fail("a control character in a string")
		}
		r, n := jsontext.Escape(text)
		if n == 0 {
			return "", s.fail("an escape that is none, or half a surrogate pair,")
		}
		out, text = utf8.AppendRune(out, r), text[n:]
	}
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

func (s *scanner) skipNumber() error {
	n := jsontext.Number(s.rest())
	if n == 0 {
		return s.fail("not a number")
	}
	s.pos += n
	return nil
}
