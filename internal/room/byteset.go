package room

import (
	"fmt"
	"strings"
)

// byteSet is a set of bytes, one bit each: what one item of a Lua pattern matches.
type byteSet [4]uint64

func (s byteSet) has(c byte) bool { return s[c>>6]&(1<<(c&63)) != 0 }

func (s byteSet) with(c byte) byteSet {
	s[c>>6] |= 1 << (c & 63)
	return s
}

func (s byteSet) withRange(from, to byte) byteSet {
	for c := int(from); c <= int(to); c++ {
		s = s.with(byte(c))
	}
	return s
}

func (s byteSet) union(other byteSet) byteSet {
	for i := range s {
		s[i] |= other[i]
	}
	return s
}

func (s byteSet) complement() byteSet {
	for i := range s {
		s[i] = ^s[i]
	}
	return s
}

// expression writes the set as a class of a regular expression over code points 0 to 255.
func (s byteSet) expression() string {
	if s == (byteSet{}) {
		return `[^\x00-\x{10FFFF}]`
	}
	var b strings.Builder
	b.WriteByte('[')
	for c := 0; c < 256; c++ {
		if !s.has(byte(c)) {
			continue
		}
		from := c
		for c+1 < 256 && s.has(byte(c+1)) {
			c++
		}
		fmt.Fprintf(&b, `\x{%x}-\x{%x}`, from, c)
	}
	b.WriteByte(']')
	return b.String()
}

// luaClass gives the characters of a class in the C locale, in which Prosody runs patterns; an upper-case letter is the
// complement of the class, and what names no class is itself.
func luaClass(letter byte) byteSet {
	set, ok := luaClasses[letter|0x20]
	switch {
	case !ok:
		return byteSet{}.with(letter)
	case letter&0x20 == 0:
		return set.complement()
	}
	return set
}

var luaClasses = func() map[byte]byteSet {
	var (
		none   byteSet
		lower  = none.withRange('a', 'z')
		upper  = none.withRange('A', 'Z')
		digit  = none.withRange('0', '9')
		letter = lower.union(upper)
		alnum  = letter.union(digit)
		graph  = none.withRange('!', '~')
		punct  = none
	)
	for c := byte('!'); c <= '~'; c++ {
		if !alnum.has(c) {
			punct = punct.with(c)
		}
	}
	return map[byte]byteSet{
		'a': letter,
		'c': none.withRange(0, 0x1f).with(0x7f),
		'd': digit,
		'g': graph,
		'l': lower,
		'p': punct,
		's': none.withRange('\t', '\r').with(' '),
		'u': upper,
		'w': alnum,
		'x': digit.union(none.withRange('a', 'f')).union(none.withRange('A', 'F')),
		'z': none.with(0), // deprecated, still understood by Lua 5.4
	}
}()
