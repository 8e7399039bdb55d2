package token

import "fmt"

// maxValues bounds the names in one claim: each is compared with the room or the audiences in every decision.
const maxValues = 256

// What follows reads one value of a wanted type. Each takes the member's name as operators know it, for the detail.

func (s *scanner) wrong(member, want string) {
	s.fail(member + " must be " + want)
}

func (s *scanner) wantString(member string) string {
	if s.peek() != '"' {
		s.wrong(member, "a string")
		return ""
	}
	return s.str()
}

// wantStrings reads a string or an array of strings. A single string goes to one, which the caller has room for.
func (s *scanner) wantStrings(member string, one *[1]string) (values []string, isArray bool) {
	const want = "a string or an array of strings"
	switch s.peek() {
	case '"':
		one[0] = s.str()
		return one[:], false
	case '[':
	default:
		s.wrong(member, want)
		return nil, false
	}
	values = one[:0]
	for a := s.array(); s.more(&a); {
		if s.peek() != '"' {
			s.wrong(member, want)
			return nil, true
		}
		if len(values) == maxValues {
			s.wrong(member, fmt.Sprintf("at most %d strings", maxValues))
			return nil, true
		}
		values = append(values, s.str())
	}
	return values, true
}

func (s *scanner) wantNumber(member string) Number {
	if c := s.peek(); c != '-' && (c < '0' || c > '9') {
		s.wrong(member, "a number")
		return Number{}
	}
	return Number{Set: true, Text: s.number()}
}

// enter tells whether the value is an object that may be entered.
func (s *scanner) enter(member string) bool {
	if s.peek() != '{' {
		s.wrong(member, "an object")
		return false
	}
	return true
}

// null reads a null, and tells whether there was one.
func (s *scanner) null() bool {
	return s.peek() == 'n' && s.word() == 'n'
}

// orString reads a string that may be null.
func (s *scanner) orString(member string) (value string, set bool) {
	if s.null() {
		return "", false
	}
	return s.wantString(member), true
}

// orID reads a string or a whole number, which may be null. See Context.UserID.
func (s *scanner) orID(member string) string {
	c := s.peek()
	if c != '-' && (c < '0' || c > '9') {
		id, _ := s.orString(member)
		return id
	}
	id := s.number()
	for i := range id {
		if c := id[i]; (c < '0' || c > '9') && (i > 0 || c != '-' || id == "-0") {
			s.wrong(member, "a string or a whole number written in digits")
		}
	}
	return id
}

// orBool reads true, false, "true" or "false", which may be null.
func (s *scanner) orBool(member string) *bool {
	word := ""
	switch s.peek() {
	case '"':
		word = s.str()
	case 't', 'f', 'n':
		switch s.word() {
		case 't':
			word = "true"
		case 'f':
			word = "false"
		case 'n':
			return nil
		}
	}
	switch word {
	case "true":
		return &yes
	case "false":
		return &no
	}
	s.wrong(member, "true or false")
	return nil
}

// Shared by all tokens, so that a flag needs no memory of its own. Nobody writes through Context.Lobby.
var yes, no = true, false

// grant reads a value that grants something as true or "true" alone; anything else grants nothing.
func (s *scanner) grant() bool {
	switch s.peek() {
	case '"':
		return s.str() == "true"
	case 't':
		return s.word() == 't'
	}
	s.skip()
	return false
}
