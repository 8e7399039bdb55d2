package room

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Kinds of patterns that a profile accepts for context.room.regex (rooms.patterns).
const (
	PatternsLua  = "lua"
	PatternsRE2  = "re2"
	PatternsDeny = "deny"
)

// Bounds of a pattern. Time is linear in program times name, so these two and maxBytes bound it.
const (
	maxPattern      = 256
	maxInstructions = 1024
)

// pattern is a room pattern that was read whole and is within its bounds.
type pattern struct {
	expression *regexp.Regexp
	// bytes: each byte of the name goes in as a code point, as Lua patterns want it.
	bytes bool
}

func compile(kind, source string) (pattern, error) {
	if len(source) > maxPattern {
		return pattern{}, fmt.Errorf("the pattern is longer than %d bytes", maxPattern)
	}
	switch kind {
	case PatternsLua, "":
		return compileLua(foldPattern(source))
	case PatternsRE2:
		// Read alone first: it must not close the group that is put around it.
		if _, err := syntax.Parse(source, syntax.Perl); err != nil {
			return pattern{}, err
		}
		expression, err := bounded(`\A(?i:` + source + `)\z`)
		return pattern{expression: expression}, err
	}
	return pattern{}, errors.New("patterns are not accepted here (rooms.patterns)")
}

func compileLua(source string) (pattern, error) {
	body, err := translateLua(source)
	if err != nil {
		return pattern{}, err
	}
	expression, err := bounded(`(?s)\A(?:` + body + `)`)
	return pattern{expression: expression, bytes: true}, err
}

// bounded compiles a regular expression, unless its program is too large: (x{1000}){…} is short to write.
func bounded(source string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxInstructions {
		return nil, fmt.Errorf("the pattern takes more than %d steps a character", maxInstructions)
	}
	return regexp.Compile(source)
}

// matches tells whether the pattern is one for the whole name: the match that Lua finds first must be all of it, as
// upstream compares what string.match returns with the room. Captures do not matter here.
func (p pattern) matches(name string) bool {
	if p.bytes {
		name = widened(name)
	}
	match := p.expression.FindStringIndex(name)
	return match != nil && match[1] == len(name)
}

// widened writes each byte of s as the code point of its value.
func widened(s string) string {
	ascii := true
	for i := 0; i < len(s) && ascii; i++ {
		ascii = s[i] < 0x80
	}
	if ascii {
		return s
	}
	var b strings.Builder
	b.Grow(2 * len(s))
	for i := 0; i < len(s); i++ {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// probes are pairs of names of one length that share no character. A pattern that takes both of a pair is a wildcard by
// another spelling.
var probes = [][2]string{
	{"qvzjxkwfhgyb", "830571926438"},
	{"qvzjxkwfhgybnmtrplscdoieua", "83057192643875096412830571"},
	{"qvzjxkwfhgybnmtrplscdoieuaqvzjxkwfhgybnmtrplscdoie", "83057192643875096412830571926438750964128305719264"},
}

func (p pattern) matchesEverything() bool {
	for _, pair := range probes {
		if p.matches(pair[0]) && p.matches(pair[1]) {
			return true
		}
	}
	return false
}
