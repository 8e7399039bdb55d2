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

// maxMemory bounds in bytes what all patterns of a token take together, and with it the time for all of them: `\pL` is short
// to write and stands for 1300 numbers each time.
const maxMemory = 1 << 20

// pattern is a room pattern that was read whole and is within its bounds.
type pattern struct {
	expression *regexp.Regexp
	// bytes: each byte of the name goes in as a code point, as Lua patterns want it.
	bytes  bool
	memory int
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
		return bounded(`\A(?i:` + source + `)\z`)
	}
	return pattern{}, errors.New("patterns are not accepted here (rooms.patterns)")
}

func compileLua(source string) (pattern, error) {
	body, err := translateLua(source)
	if err != nil {
		return pattern{}, err
	}
	p, err := bounded(`(?s)\A(?:` + body + `)`)
	p.bytes = true
	return p, err
}

// bounded compiles a regular expression, unless its program is too large: (x{1000}){…} is short to write.
func bounded(source string) (p pattern, err error) {
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return p, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return p, err
	}
	if len(program.Inst) > maxInstructions {
		return p, fmt.Errorf("the pattern takes more than %d steps a character", maxInstructions)
	}
	if p.memory = memoryOf(program); p.memory > maxMemory {
		return p, errMemory
	}
	p.expression, err = regexp.Compile(source)
	return p, err
}

var errMemory = fmt.Errorf("the patterns take more than %d bytes of memory", maxMemory)

// memoryOf is roughly what the expression takes that a program is for, in bytes.
func memoryOf(program *syntax.Prog) int {
	bytes := 80 * len(program.Inst)
	for i := range program.Inst {
		bytes += 10 * len(program.Inst[i].Rune)
	}
	return bytes
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
