package room

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// maxBytes is the longest part of a JID, before and after preparation (RFC 6122, section 2.1; Prosody's limit).
const maxBytes = 1023

// profile is a stringprep profile (RFC 3454) as Prosody applies it: through ICU, in Unicode 3.2, code points that 3.2
// does not know allowed ("query" strings), since Prosody routes stanzas without its strict flag.
type profile struct {
	prohibited []stringprep.Set
	// plain holds the ASCII bytes that the profile leaves as they are: the fast path of nearly every name.
	plain [utf8.RuneSelf]bool
	// anyDirection: text from left to right and from right to left may stand together.
	anyDirection bool
}

var (
	forbiddenByAll = []stringprep.Set{
		stringprep.TableC1_2, stringprep.TableC2_2, stringprep.TableC3, stringprep.TableC4, stringprep.TableC5,
		stringprep.TableC6, stringprep.TableC7, stringprep.TableC8, stringprep.TableC9,
	}
	// RFC 3920, appendix A.5: what a node must not hold besides.
	forbiddenInNode = stringprep.Set{{'"', '"'}, {'&', '\''}, {'/', '/'}, {':', ':'}, {'<', '<'}, {'>', '>'}, {'@', '@'}}

	nodeProfile = newProfile(stringprep.TableC1_1, stringprep.TableC2_1, forbiddenInNode)
	nameProfile = newProfile()
	// decodedProfile is nodeprep for a name whose percent-encoding was undone: what clients encode because a node
	// must not hold it (a space, an @) is welcome here, control characters are not. So is a Hebrew name that ends with a
	// digit: XMPP, which forbids that, saw nothing but ASCII.
	decodedProfile = newProfile(stringprep.TableC2_1).inAnyDirection()
)

func newProfile(also ...stringprep.Set) *profile {
	p := &profile{prohibited: append(also, forbiddenByAll...)}
	for c := range p.plain {
		p.plain[c] = !('A' <= c && c <= 'Z') && !p.forbids(rune(c))
	}
	return p
}

func (p *profile) inAnyDirection() *profile {
	p.anyDirection = true
	return p
}

func nodeprep(node string) (string, bool)   { return nodeProfile.prepare(node) }
func nameprep(domain string) (string, bool) { return nameProfile.prepare(domain) }

func (p *profile) forbids(r rune) bool {
	for _, set := range p.prohibited {
		if set.Contains(r) {
			return true
		}
	}
	return false
}

// prepare maps, normalises and checks s. A string that needs nothing of that comes back as it is, without a copy.
func (p *profile) prepare(s string) (string, bool) {
	if len(s) > maxBytes {
		return "", false
	}
	if p.isPlain(s) {
		return s, true
	}
	if !utf8.ValidString(s) {
		return "", false
	}
	out := normalised(mapped(s))
	// The library parts more than thirty combining marks in a row with U+034F, which mapping had taken away. Prosody
	// does not; such a name is refused rather than compared wrongly.
	if len(out) > maxBytes || strings.ContainsRune(out, '\u034F') || !p.allows(out) {
		return "", false
	}
	return out, true
}

func (p *profile) isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf || !p.plain[s[i]] {
			return false
		}
	}
	return true
}

// asProsody holds the six code points where the libraries here differ from Prosody's: U+1806 is of table B.1, and five
// CJK compatibility ideographs stand as in Unicode 3.2, before Corrigendum 4.
var asProsody = map[rune]string{
	0x1806:  "",
	0x2F868: "\U0002136A",
	0x2F874: "\u5F33",
	0x2F91F: "\u43AB",
	0x2F95F: "\u7AAE",
	0x2F9BF: "\u4D57",
}

// mapped applies the tables B.1 (mapped to nothing) and B.2 (case folding for NFKC).
func mapped(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if to, ok := asProsody[r]; ok {
			b.WriteString(to)
			continue
		}
		if _, gone := stringprep.TableB1.Map(r); gone {
			continue
		}
		to, ok := stringprep.TableB2.Map(r)
		if !ok {
			b.WriteRune(r)
			continue
		}
		for _, r := range to {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// normalised is NFKC of Unicode 3.2: what 3.2 does not know stays as it is and parts its neighbours.
func normalised(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	start := 0
	for i, r := range s {
		if !stringprep.TableA1.Contains(r) {
			continue
		}
		b.WriteString(norm.NFKC.String(s[start:i]))
		b.WriteRune(r)
		start = i + utf8.RuneLen(r)
	}
	b.WriteString(norm.NFKC.String(s[start:]))
	return b.String()
}

// allows checks for forbidden characters and for mixed directions (RFC 3454, section 6).
func (p *profile) allows(s string) bool {
	var first, last bidi.Class
	var left, right bool
	for i, r := range s {
		if p.forbids(r) {
			return false
		}
		properties, _ := bidi.LookupRune(r)
		last = properties.Class()
		if i == 0 {
			first = last
		}
		left = left || last == bidi.L
		right = right || rightToLeft(last)
	}
	if !right || p.anyDirection {
		return true
	}
	return !left && rightToLeft(first) && rightToLeft(last)
}

func rightToLeft(c bidi.Class) bool { return c == bidi.R || c == bidi.AL }

// decoded undoes percent-encoding once, as Jitsi's client writes it: encodeURIComponent of the name, in lower case. Like
// JavaScript's decodeURIComponent it takes all of a name or nothing, so that a name with a stray % is itself.
func decoded(node string) string {
	if strings.IndexByte(node, '%') < 0 {
		return node
	}
	plain, err := url.PathUnescape(node)
	if err != nil {
		return node
	}
	if prepared, ok := decodedProfile.prepare(plain); ok && prepared != "" {
		return prepared
	}
	return node
}
