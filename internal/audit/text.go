package audit

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes a text from a token or a caller fit for a person's eyes: control characters and those that turn the
// direction of writing are spelled out, so that no claim can forge a line, colour a terminal or swap what is read.
func Clean(s string) string {
	if !needsCleaning(s) {
		return Cut(s)
	}
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxField-10; {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x`)
			b.WriteString(strconv.FormatUint(uint64(s[i])|0x100, 16)[1:])
		case treacherous(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

func needsCleaning(s string) bool {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || treacherous(r) {
			return true
		}
		i += n
	}
	return false
}

// treacherous is true for controls, format characters (bidirectional marks and overrides, zero-width joiners, tags,
// byte-order marks) and the separators that some programs take for a line's end.
func treacherous(r rune) bool {
	if r < utf8.RuneSelf {
		return r < 0x20 || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

// Cell makes s safe as a CSV cell: cleaned, and not to be taken for a formula by a spreadsheet (OWASP, CSV Injection).
func Cell(s string) string {
	s = Clean(s)
	if first, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r|%＝＋－＠", first) {
		return "'" + s
	}
	return s
}
