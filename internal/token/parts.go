package token

import (
	"encoding/base64"
	"strings"
	"unsafe"

	"github.com/usher-im/usher/internal/reason"
)

// parts are the three of a compact serialisation, decoded into one buffer.
type parts struct {
	raw                        string
	signed                     int // length of header, dot and payload in raw
	header, payload, signature []byte
	known                      *knownHeader // in place of header
}

// signingInput aliases raw.
func (p *parts) signingInput() []byte { return bytesOf(p.raw[:p.signed]) }

// split takes raw apart. Upstream's splitter takes `\` and repeated dots for separators; here a token is exactly
// three parts, each in the only spelling that it has, so that whatever is keyed by a token's bytes cannot be evaded.
//
// A header that is known is not decoded.
func split(raw string, known *KnownHeaders) (parts, *reason.Problem) {
	first := strings.IndexByte(raw, '.')
	last := first + 1 + strings.IndexByte(raw[first+1:], '.') // not the last of more than two
	if first < 0 || last == first || strings.IndexByte(raw[last+1:], '.') >= 0 {
		return parts{}, malformed(dotsDetail(strings.Count(raw, ".")))
	}
	p := parts{raw: raw, signed: last, known: known.find(raw[:first])}
	size, ok := len(raw), true
	if p.known != nil {
		size -= first
	}
	buf := make([]byte, base64.RawURLEncoding.DecodedLen(size))
	if p.known == nil {
		if p.header, buf, ok = decode(buf, raw[:first]); !ok {
			return parts{}, malformed("the token's header is not canonical base64url")
		}
	}
	if p.payload, buf, ok = decode(buf, raw[first+1:last]); !ok {
		return parts{}, malformed("the token's payload is not canonical base64url")
	}
	if p.signature, _, ok = decode(buf, raw[last+1:]); !ok {
		return parts{}, malformed("the token's signature is not canonical base64url")
	}
	return p, nil
}

func dotsDetail(dots int) string {
	if dots == 4 {
		return "the token has five parts: it is encrypted (JWE), and usher reads signed tokens only"
	}
	return "the token is not three parts with a dot between each"
}

// strict refuses stray bits in a last character (RFC 4648, section 3.5).
var strict = base64.RawURLEncoding.Strict()

// decode writes text to the front of buf, and returns that and the rest of buf.
func decode(buf []byte, text string) (decoded, rest []byte, ok bool) {
	n, err := strict.Decode(buf, bytesOf(text))
	// encoding/base64 skips line breaks wherever they stand; then the same bytes would be shorter when encoded.
	if err != nil || base64.RawURLEncoding.EncodedLen(n) != len(text) {
		return nil, nil, false
	}
	return buf[:n:n], buf[n:], true
}

// bytesOf and stringOf show the same memory in the other type. They are for what nobody writes to any more.
func bytesOf(s string) []byte  { return unsafe.Slice(unsafe.StringData(s), len(s)) }
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
