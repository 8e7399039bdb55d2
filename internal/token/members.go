package token

import "fmt"

// object is an object being read: after each next, name is a member's and its value is to be read.
type object struct {
	name    string
	started bool
	mark    int    // where its names begin among those of the scanner
	seen    uint64 // which of 64 kinds of name it has had
}

// object enters an object. Its opening brace must be next.
func (s *scanner) object() object {
	s.down()
	return object{mark: s.open}
}

// next goes to the next member, up to its value; false at the object's end or after a fault.
func (s *scanner) next(o *object) bool {
	s.space()
	if s.peek() == '}' {
		s.up()
		s.open = o.mark
		return false
	}
	if o.started {
		s.separator('}')
	}
	o.started = true
	if s.peek() != '"' {
		s.syntax("no member name")
		return false
	}
	o.name = s.str()
	s.space()
	if !s.accept(':') {
		s.syntax("no colon after a member name")
		return false
	}
	s.space()
	s.remember(o)
	return s.fault == ""
}

// remember refuses a name that o has had already: of two members one reader takes the first and another the last.
func (s *scanner) remember(o *object) {
	kind := kindOf(o.name)
	if o.seen&kind != 0 {
		for n := o.mark; n < s.open; n++ {
			if s.nameAt(n) == o.name {
				s.fail(fmt.Sprintf("the token's %s has the member %.24q twice in one object", s.part, o.name))
				return
			}
		}
	}
	if s.open == maxOpen {
		s.fail(fmt.Sprintf("the token's %s has more than %d members", s.part, maxOpen))
		return
	}
	o.seen |= kind
	if s.open < usualOpen {
		s.names[s.open] = o.name
	} else {
		s.beyond = append(s.beyond[:s.open-usualOpen], o.name)
	}
	s.open++
}

// nameAt is the n-th of the names that are open.
func (s *scanner) nameAt(n int) string {
	if n < usualOpen {
		return s.names[n]
	}
	return s.beyond[n-usualOpen]
}

// kindOf gives one bit of 64 to a name, so that most new names need no comparison with the old ones.
func kindOf(name string) uint64 {
	if name == "" {
		return 1
	}
	n := len(name)
	return 1 << ((uint(n)*7 + uint(name[0])*3 + uint(name[n-1])*5 + uint(name[n/2])) % 64)
}

// array is an array being read.
type array struct{ started bool }

// array enters an array. Its opening bracket must be next.
func (s *scanner) array() array {
	s.down()
	return array{}
}

// more goes to the next element; false at the array's end or after a fault.
func (s *scanner) more(a *array) bool {
	s.space()
	if s.peek() == ']' {
		s.up()
		return false
	}
	if a.started {
		s.separator(']')
	}
	a.started = true
	return s.fault == ""
}

// separator reads the comma between members or elements. A closing bracket right after one is a fault of the value
// that is then read.
func (s *scanner) separator(closing byte) {
	if !s.accept(',') {
		s.syntax("no comma and no " + string(closing))
		return
	}
	s.space()
}
