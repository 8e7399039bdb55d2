package wire

import (
	"strconv"

	"github.com/usher-im/usher/internal/jsontext"
)

// What follows appends JSON. Every member comes with a comma before it; braced turns the first of them into the brace
// of its object.

// braced makes an object of the members that begin at start.
func braced(b []byte, start int) []byte {
	if len(b) == start {
		return append(b, `{}`...)
	}
	b[start] = '{'
	return append(b, '}')
}

func appendText(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(appendName(b, name), value)
}

func appendSeconds(b []byte, name string, value int64) []byte {
	if value == 0 {
		return b
	}
	return strconv.AppendInt(appendName(b, name), value, 10)
}

// appendName takes names of ours alone, which have nothing to escape.
func appendName(b []byte, name string) []byte {
	return append(append(append(b, `,"`...), name...), `":`...)
}

func appendStrings(b []byte, values []string) []byte {
	b = append(b, '[')
	for n, v := range values {
		if n > 0 {
			b = append(b, ',')
		}
		b = appendString(b, v)
	}
	return append(b, ']')
}

// appendString appends a string that is valid UTF-8 (RFC 8259, section 7).
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for {
		plain := jsontext.Plain(s)
		b = append(b, s[:plain]...)
		if plain == len(s) {
			return append(b, '"')
		}
		c := s[plain]
		s = s[plain+1:]
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
}
