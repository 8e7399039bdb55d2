package token

import (
	"fmt"
	"unicode/utf8"

	"github.com/usher-im/usher/internal/jsontext"
)

const (
	// maxDepth bounds nesting; Jitsi's tokens need three levels.
	maxDepth = 32
	// maxOpen bounds the members of all objects that are open at one point, so that looking for duplicates stays
	// cheap.
	maxOpen = 256
	// usualOpen is for how many of them a scanner has room in itself. All of that is cleared for each text.
	usualOpen = 32
)

// scanner reads one JSON text (RFC 8259) once, strictly: UTF-8, no member twice in one object, one value and nothing
// else. Libraries let one or the other pass, and then two readers of one token can see different claims.
//
// The first fault sticks: after it every method gives a zero value, so that readers need no error after each step.
type scanner struct {
	part  string // what is read, for details: "header" or "payload"
	text  string
	pos   int
	depth int
	fault string

	// names are those of the members that are open; what has no room there lies beyond.
	names  [usualOpen]string
	beyond []string
	open   int
}

// begin starts on text, which must not be written to any more.
func (s *scanner) begin(part string, text []byte) {
	s.part, s.text, s.pos, s.depth, s.fault, s.open = part, stringOf(text), 0, 0, "", 0
	if !utf8.ValidString(s.text) {
		s.fail("the token's " + part + " is not valid UTF-8")
		return
	}
	s.space()
	if s.peek() != '{' {
		s.fail("the token's " + part + " is not a JSON object")
	}
}

// end makes sure that nothing follows. White space may, and may go before: RFC 8259, section 2, counts it to the
// object's own brackets, it is signed like the rest, and shell scripts that sign leave a line break there.
func (s *scanner) end() {
	s.space()
	if s.fault == "" && s.pos != len(s.text) {
		s.fail("something follows the JSON object in the token's " + s.part)
	}
}

// fail keeps the first fault, a sentence for the operator.
func (s *scanner) fail(fault string) {
	if s.fault == "" {
		s.fault = fault
	}
}

func (s *scanner) syntax(what string) {
	s.fail(fmt.Sprintf("the token's %s is not strict JSON: %s at byte %d", s.part, what, s.pos))
}

// peek gives the next byte, and 0 at the end or after a fault; no JSON value begins with NUL.
func (s *scanner) peek() byte {
	if s.fault != "" || s.pos >= len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) accept(c byte) bool {
	if s.peek() != c || c == 0 {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// down enters an object or array, whose opening bracket is next.
func (s *scanner) down() {
	s.pos++
	s.depth++
	if s.depth > maxDepth {
		s.syntax(fmt.Sprintf("more than %d levels of nesting", maxDepth))
	}
}

func (s *scanner) up() {
	s.pos++
	s.depth--
}

// skip reads any value for its grammar alone.
func (s *scanner) skip() {
	switch c := s.peek(); {
	case c == '"':
		s.quoted()
	case c == '{':
		for o := s.object(); s.next(&o); {
			s.skip()
		}
	case c == '[':
		for a := s.array(); s.more(&a); {
			s.skip()
		}
	case c == '-' || '0' <= c && c <= '9':
		s.number()
	default:
		s.word()
	}
}

// since gives the text from start to here as signed, nil after a fault.
func (s *scanner) since(start int) []byte {
	if s.fault != "" {
		return nil
	}
	span := bytesOf(s.text[start:s.pos])
	return span[:len(span):len(span)]
}

// word reads true, false or null and gives its first letter, 0 for anything else.
func (s *scanner) word() byte {
	for _, w := range [...]string{"true", "false", "null"} {
		if rest := s.text[s.pos:]; len(rest) >= len(w) && rest[:len(w)] == w {
			s.pos += len(w)
			return w[0]
		}
	}
	s.syntax("no value")
	return 0
}

// number reads a number literal (RFC 8259, section 6) and gives it as written.
func (s *scanner) number() string {
	start := s.pos
	n := jsontext.Number(s.text[start:])
	if n == 0 {
		s.syntax("a malformed number")
	}
	s.pos += n
	return s.text[start:s.pos]
}
