package room

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Lua patterns (reference manual, section 6.4.1) run on Go's regexp: its time is linear in pattern times name, which is
// the bound on steps that Lua's own matcher lacks. A pattern is bytes to Lua, so pattern and name go to regexp with
// each byte as a code point of its own. What no regular expression can say (%b, %f and back-references) is refused.
// gopher-lua's pm was looked at: it has no bound on steps, takes %g and %f for letters, and panics on some input.

// maxCaptures is Lua's own limit (LUA_MAXCAPTURES).
const maxCaptures = 32

// luaTranslator turns one pattern into the source of a regular expression. It reads the whole pattern before anything is
// matched: Lua reports a bad pattern only when matching reaches the bad part.
type luaTranslator struct {
	pattern string
	at      int
	out     strings.Builder
	open    int
	opened  int
}

// translateLua gives the body of the regular expression that matches what pattern matches, without the anchor at the
// beginning, which the caller sets in any case.
func translateLua(pattern string) (string, error) {
	t := luaTranslator{pattern: pattern}
	if strings.HasPrefix(pattern, "^") {
		t.at++
	}
	for t.at < len(pattern) {
		if err := t.item(); err != nil {
			return "", err
		}
	}
	if t.open > 0 {
		return "", errors.New("unfinished capture")
	}
	return t.out.String(), nil
}

func (t *luaTranslator) item() error {
	switch c := t.pattern[t.at]; {
	case c == '(':
		return t.openCapture()
	case c == ')':
		return t.closeCapture()
	case c == '$' && t.at == len(t.pattern)-1:
		t.at++
		t.out.WriteString(`\z`)
		return nil
	}
	set, err := t.single()
	if err != nil {
		return err
	}
	t.out.WriteString(set.expression())
	t.quantifier()
	return nil
}

func (t *luaTranslator) openCapture() error {
	if t.opened++; t.opened > maxCaptures {
		return errors.New("too many captures")
	}
	t.at++
	if strings.HasPrefix(t.pattern[t.at:], ")") { // a position capture takes no character
		t.at++
		return nil
	}
	t.open++
	t.out.WriteString("(?:")
	return nil
}

func (t *luaTranslator) closeCapture() error {
	if t.open == 0 {
		return errors.New("invalid pattern capture")
	}
	t.open--
	t.at++
	t.out.WriteString(")")
	return nil
}

// quantifier follows a single character only: after a capture, Lua takes *, + and the rest for themselves.
func (t *luaTranslator) quantifier() {
	if t.at == len(t.pattern) {
		return
	}
	switch t.pattern[t.at] {
	case '*', '+', '?':
		t.out.WriteByte(t.pattern[t.at])
	case '-':
		t.out.WriteString("*?")
	default:
		return
	}
	t.at++
}

// single reads what matches one byte: a character, a class, or a set.
func (t *luaTranslator) single() (byteSet, error) {
	c := t.pattern[t.at]
	t.at++
	switch c {
	case '.':
		return byteSet{}.complement(), nil
	case '[':
		return t.set()
	case '%':
		return t.escape()
	}
	return byteSet{}.with(c), nil
}

func (t *luaTranslator) escape() (byteSet, error) {
	if t.at == len(t.pattern) {
		return byteSet{}, errors.New("malformed pattern (ends with '%')")
	}
	c := t.pattern[t.at]
	t.at++
	switch {
	case c == 'b' || c == 'f':
		return byteSet{}, fmt.Errorf("%%%c is not supported: its time cannot be bounded", c)
	case '0' <= c && c <= '9':
		return byteSet{}, errors.New("references to captures are not supported: their time cannot be bounded")
	}
	return luaClass(c), nil
}

// set reads what follows a [. As in Lua, the first character is a member even when it is ], a range ends in whatever
// character follows its -, and classes are no ends of ranges.
func (t *luaTranslator) set() (byteSet, error) {
	end, err := t.endOfSet()
	if err != nil {
		return byteSet{}, err
	}
	body := t.pattern[t.at:end]
	t.at = end + 1
	negated := strings.HasPrefix(body, "^")
	if negated {
		body = body[1:]
	}
	var set byteSet
	for i := 0; i < len(body); i++ {
		switch {
		case body[i] == '%':
			i++
			escaped := byte(']') // where a range has eaten the first half of an escape, Lua takes the set's own end
			if i < len(body) {
				escaped = body[i]
			}
			set = set.union(luaClass(escaped))
		case i+2 < len(body) && body[i+1] == '-':
			set = set.withRange(body[i], body[i+2])
			i += 2
		default:
			set = set.with(body[i])
		}
	}
	if negated {
		return set.complement(), nil
	}
	return set, nil
}

// endOfSet finds the ] that closes the set, as Lua's classEnd does.
func (t *luaTranslator) endOfSet() (int, error) {
	i := t.at
	if strings.HasPrefix(t.pattern[i:], "^") {
		i++
	}
	for first := true; i < len(t.pattern); first = false {
		switch c := t.pattern[i]; {
		case c == ']' && !first:
			return i, nil
		case c == '%':
			i++
		}
		i++
	}
	return 0, errors.New("malformed pattern (missing ']')")
}

// foldPattern lowers the letters that stand for themselves, since prepared names have no others; a letter after % names
// a class and keeps its case (upstream lowers these too, and so turns %W into %w).
func foldPattern(pattern string) string {
	escaped := false
	return strings.Map(func(r rune) rune {
		if escaped || r == '%' {
			escaped = !escaped
			return r
		}
		return unicode.ToLower(r)
	}, pattern)
}
