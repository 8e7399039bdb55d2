package wire

import (
	"encoding/json"
	"strings"
)

// appendSigned appends JSON that a token has signed, whose own strict scanner has read it. What is null is left out, since
// Jitsi's plugins, whose Lua has no such value, would show it as one, and what would mean other members to Prosody; and it is
// spelt as the rest of an answer is, however the issuer's library did (spaces, escapes), since the shim reads that several times
// as fast.
func appendSigned(b []byte, name string, value json.RawMessage) []byte {
	if len(value) == 0 {
		return b
	}
	s, start := scanner{in: value}, len(b)
	b = appendName(b, name)
	named := len(b)
	if b = s.respell(b); len(b) == named {
		return b[:start]
	}
	return b
}

// respell appends the value that comes next, or nothing where it is null.
func (s *scanner) respell(b []byte) []byte {
	start := len(b)
	switch s.peek() {
	case '"':
		return appendString(b, s.known())
	case '{':
		for s.pos++; !s.ends('}'); {
			member, name := len(b), s.known()
			b = append(appendString(append(b, ','), name), ':')
			s.take(':')
			named := len(b)
			if b = s.respell(b); len(b) == named || prosodys(name) {
				b = b[:member]
			}
		}
		return braced(b, start)
	case '[':
		b = append(b, '[')
		for s.pos++; !s.ends(']'); {
			element := len(b)
			if element > start+1 {
				b = append(b, ',')
			}
			before := len(b)
			if b = s.respell(b); len(b) == before {
				b = b[:element]
			}
		}
		return append(b, ']')
	}
	if s.literal("null") {
		return b
	}
	from := s.pos
	for s.pos < len(s.in) && strings.IndexByte(", \t\r\n}]", s.in[s.pos]) < 0 { // of a number, true or false
		s.pos++
	}
	return append(b, s.in[from:s.pos]...)
}

// prosodys tells the names under which Prosody's util.json writes what JSON has no form for, and reads it back: of {"id":"u",
// "__hash":["id","v"]} it makes the user v.
func prosodys(name string) bool { return name == "__hash" || name == "__array" }

// ends steps over the end of an object or array, or over the comma before what comes next in it.
func (s *scanner) ends(closing byte) bool {
	s.take(',')
	return s.take(closing) || s.pos == len(s.in)
}

// known reads a string that is known to be one.
func (s *scanner) known() string {
	text, err := s.text()
	if err != nil {
		s.pos = len(s.in)
	}
	return text
}
