package token

import (
	"encoding/json"
	"strings"
)

// Lookup finds a claim by its path, such as "context.user.id", and gives its JSON as signed. Dots lead into objects,
// but a name may hold dots itself ("https://example.com/role"): the longest name wins. A claim that is null counts as
// absent, so that required_claims are not met by nothing.
func (c *Claims) Lookup(path string) (json.RawMessage, bool) {
	var s scanner
	s.begin("payload", c.Raw)
	if s.fault != "" {
		return nil, false
	}
	value := s.find(path)
	return value, value != nil && string(value) != "null"
}

// Members gives each member of a JSON object of the claims to yield, its value as signed. It tells whether raw is such an
// object, which may turn out after some members.
func Members(raw json.RawMessage, yield func(name string, value json.RawMessage)) bool {
	var s scanner
	s.begin("payload", raw)
	if s.fault != "" {
		return false
	}
	for o := s.object(); s.next(&o); {
		from := s.pos
		if s.skip(); s.fault == "" {
			yield(o.name, s.since(from))
		}
	}
	s.end()
	return s.fault == ""
}

// Identity finds a claim that names somebody or something: a string, or a whole number as its digits, as
// Context.UserID is read. Of any other type, or empty, it names nobody.
func (c *Claims) Identity(path string) (string, bool) {
	value, ok := c.Lookup(path)
	if !ok {
		return "", false
	}
	s := scanner{part: "payload", text: stringOf(value)}
	id := s.orID(path)
	return id, s.fault == "" && id != ""
}

// find reads the object that is next to its end, for the value that path leads to.
func (s *scanner) find(path string) (value []byte) {
	longest := -1
	for o := s.object(); s.next(&o); {
		from := s.pos
		switch rest, into := after(path, o.name); {
		case o.name == path:
			s.skip()
			value, longest = s.since(from), len(path)
		case into && s.peek() == '{':
			if inner := s.find(rest); inner != nil && len(o.name) > longest {
				value, longest = inner, len(o.name)
			}
		default:
			s.skip()
		}
	}
	return value
}

// after gives what follows name and a dot in path.
func after(path, name string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, name)
	if !ok || rest == "" || rest[0] != '.' {
		return "", false
	}
	return rest[1:], true
}
