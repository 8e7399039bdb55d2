package token

import (
	"unicode/utf8"

	"github.com/usher-im/usher/internal/jsontext"
)

// str reads a string, whose quote must be next, and gives what it means. Without escapes that aliases the text.
func (s *scanner) str() string {
	inside, escaped := s.quoted()
	if !escaped {
		return inside
	}
	return unescape(inside)
}

// quoted reads a string and gives what stands between its quotes, and whether there are escapes in it. It checks
// them but makes nothing of them, for strings that nobody wants.
func (s *scanner) quoted() (inside string, escaped bool) {
	start := s.pos + 1
	for i := start; ; {
		if i += jsontext.Plain(s.text[i:]); i == len(s.text) {
			s.pos = i
			s.syntax("a string that does not end")
			return "", false
		}
		switch s.text[i] {
		case '"':
			s.pos = i + 1
			return s.text[start:i], escaped
		case '\\':
			escaped = true
			_, n := jsontext.Escape(s.text[i:])
			if n == 0 {
				s.pos = i
				s.syntax("an escape that is none, or half a surrogate pair,")
				return "", false
			}
			i += n
		default:
			s.pos = i
			s.syntax("a control character in a string")
			return "", false
		}
	}
}

// unescape makes of a checked string what it means. Escapes only ever get shorter.
func unescape(inside string) string {
	out := make([]byte, 0, len(inside))
	for i := 0; i < len(inside); {
		if inside[i] != '\\' {
			out = append(out, inside[i])
			i++
			continue
		}
		r, n := jsontext.Escape(inside[i:])
		out = utf8.AppendRune(out, r)
		i += n
	}
	return stringOf(out)
}
