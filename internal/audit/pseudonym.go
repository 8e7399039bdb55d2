package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pseudonyms replaces user ids and addresses by a keyed hash. Who has a value and the key finds its rows; who has the
// rows alone cannot try values. The nil Pseudonyms changes nothing.
type Pseudonyms struct{ key []byte }

const pseudonymMark = "p1:"

var pseudonymText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewPseudonyms takes the key; an empty one means none.
func NewPseudonyms(key []byte) *Pseudonyms {
	if len(key) == 0 {
		return nil
	}
	return &Pseudonyms{key: key}
}

// User is what stands for a user id, or the subject where that is the user. A long one is taken as events keep it.
func (p *Pseudonyms) User(id string) string { return p.of("user", Cut(id)) }

// Address is what stands for a remote address.
func (p *Pseudonyms) Address(ip string) string { return p.of("address", Address(ip)) }

func (p *Pseudonyms) of(what, value string) string {
	if p == nil || value == "" || strings.HasPrefix(value, pseudonymMark) {
		return value
	}
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(what))
	mac.Write([]byte{0})
	mac.Write([]byte(value))
	return pseudonymMark + pseudonymText.EncodeToString(mac.Sum(nil)[:15])
}

// apply replaces what names a person, in details too.
func (p *Pseudonyms) apply(e *Event) {
	user, ip := p.User(e.UserID), p.Address(e.RemoteIP)
	if e.UserID != "" {
		e.hide(e.UserID, user)
		if e.Subject == e.UserID {
			e.Subject = user
		}
	}
	if e.RemoteIP != "" {
		e.hide(e.RemoteIP, ip)
	}
	e.UserID, e.RemoteIP = user, ip
	e.UserName, e.UserEmail = "", ""
}

// inQuotes is a quoted text, the last of a detail perhaps cut short.
var inQuotes = regexp.MustCompile(`"(?:[^"\\]|\\.)*(?:"|$)`)

const long = 8 // bytes of a value that stand nowhere by chance

// hide puts a word in place of a value in the detail. A decision quotes what a token says. The rest are usher's own words and
// times, where a short value such as 20 stands by chance, and would be told by its absence.
func (e *Event) hide(value, by string) {
	if e.Kind != Decision || len(value) >= long {
		e.Detail = replaced(e.Detail, value, by)
		return
	}
	e.Detail = inQuotes.ReplaceAllStringFunc(e.Detail, func(quoted string) string { return replaced(quoted, value, by) })
}

// replaced puts a word in place of a value in a text, where it may be quoted, and cut short as well.
func replaced(text, value, by string) string {
	const least, cut = 16, "…" // bytes of a value that name nobody
	quoted := strconv.QuoteToGraphic(value)
	quoted = quoted[1 : len(quoted)-1]
	replace := replacedAlone
	if len(value) >= long {
		replace = strings.ReplaceAll
	}
	text = replace(replace(text, value, by), quoted, by)
	for n := len(quoted) - 1; n >= least && strings.Contains(text, cut); n-- {
		text = strings.ReplaceAll(text, quoted[:n]+cut, by)
	}
	return text
}

// replacedAlone leaves out where the value is a part of a longer word or of a time.
func replacedAlone(text, value, by string) string {
	var b strings.Builder
	for from := 0; ; {
		i := strings.Index(text[from:], value)
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		i += from
		from = i + len(value)
		if goesOn(before(text[:i])) || goesOn(after(text[from:])) {
			continue
		}
		b.WriteString(text[:i])
		b.WriteString(by)
		text, from = text[from:], 0
	}
}

// goesOn says whether a word goes on with its next rune, or with that and the one beyond.
func goesOn(next, beyond rune) bool {
	part := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	return part(next) || strings.ContainsRune("-:_", next) && part(beyond)
}

func before(text string) (next, beyond rune) {
	next, n := utf8.DecodeLastRuneInString(text)
	beyond, _ = utf8.DecodeLastRuneInString(text[:len(text)-n])
	return next, beyond
}

func after(text string) (next, beyond rune) {
	next, n := utf8.DecodeRuneInString(text)
	beyond, _ = utf8.DecodeRuneInString(text[n:])
	return next, beyond
}
