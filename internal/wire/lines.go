package wire

import (
	"slices"
	"strconv"
	"strings"

	"github.com/usher-im/usher/internal/decide"
)

// LinesType is the media type of an allow in lines, for callers that accept it: JSON's values, spelt so that Prosody's modules
// read them with a fifth of the work. An object is a line "{3" with the number of its members, and then for each a line with its
// name and a value; an array is "[2" and its values. A text stands in one line behind a quotation mark, and nothing in it is
// escaped; t and f are true and false, and a number is as in JSON. What holds a line break is told in JSON instead.
const LinesType = "application/vnd.usher.lines"

// AppendLines writes the body of an allow in lines to b. told is what EncodeProven made of the token in that form. The decision
// id is not in it, because nobody asks why somebody was let in by it. False where this verdict is to be told in JSON.
func AppendLines(b []byte, v *decide.Verdict, told []byte) ([]byte, bool) {
	if !v.Allow() || v.Proven != nil && told == nil {
		return b, false
	}
	members := 1
	if told != nil {
		members, told = members+int(told[0]), told[1:]
	}
	if v.TenantMismatch {
		members++
	}
	b = append(strconv.AppendInt(append(b, '{'), int64(members), 10), "\nallow\nt\n"...)
	b = append(b, told...)
	if v.TenantMismatch {
		b = append(b, "tenant_mismatch\nt\n"...)
	}
	return b, true
}

// inLines spells members, as EncodeProven writes them in JSON, in lines behind a byte with their number; nil where that cannot be.
func inLines(members []byte) []byte {
	if len(members) == 0 {
		return []byte{0}
	}
	object := append([]byte{'{'}, members[1:]...) // without the first comma
	s := scanner{in: append(object, '}')}
	b, n := s.membersInLines(make([]byte, 1, len(members)))
	if n < 0 {
		return nil
	}
	b[0] = byte(n)
	return b
}

// membersInLines appends what the object that comes next holds, and says how many members that is; −1 where lines cannot
// say one of them.
func (s *scanner) membersInLines(b []byte) (_ []byte, n int) {
	for s.pos++; !s.ends('}'); n++ {
		name := s.known()
		s.take(':')
		var ok bool
		if b, ok = s.valueInLines(append(append(b, name...), '\n')); !ok || strings.Contains(name, "\n") {
			return nil, -1
		}
	}
	return b, n
}

func (s *scanner) elementsInLines(b []byte) (_ []byte, n int) {
	for s.pos++; !s.ends(']'); n++ {
		var ok bool
		if b, ok = s.valueInLines(b); !ok {
			return nil, -1
		}
	}
	return b, n
}

// valueInLines appends the value that comes next, which is not null.
func (s *scanner) valueInLines(b []byte) (_ []byte, ok bool) {
	start, n := len(b), 0
	kind := s.peek()
	switch kind {
	case '"':
		text := s.known()
		return append(append(append(b, '"'), text...), '\n'), !strings.Contains(text, "\n")
	case '{':
		b, n = s.membersInLines(b)
	case '[':
		b, n = s.elementsInLines(b)
	case 't', 'f':
		_, err := s.boolean()
		return append(b, kind, '\n'), err == nil
	default:
		from := s.pos
		err := s.skipNumber()
		return append(append(b, s.in[from:s.pos]...), '\n'), err == nil
	}
	if n < 0 {
		return nil, false
	}
	var room [24]byte
	opening := append(strconv.AppendInt(append(room[:0], kind), int64(n), 10), '\n')
	return slices.Insert(b, start, opening...), true
}
