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
}

// signingInput aliases raw.
func (p *parts) signingInput() []byte {
	return unsafe.Slice(unsafe.StringData(p.raw), p.signed)
}

// strict refuses stray bits in the last character (RFC 4648, section 3.5), which would give one token several
// spellings.
var strict = base64.RawURLEncoding.Strict()

// split takes raw apart. Upstream's splitter takes `\` and repeated dots for separators; here a token is exactly
// three parts, each in the only spelling that it has.
func split(raw string) (parts, *reason.Problem) {
	first := strings.IndexByte(raw, '.')
	last := strings.LastIndexByte(raw, '.')
	if dots := strings.Count(raw, "."); dots != 2 {
		return parts{}, malformed(partsDetail(dots))
	}
	// encoding/base64 skips line breaks wherever they stand.
	if strings.ContainsAny(raw, "\r\n") {
		return parts{}, malformed("the token holds a line break")
	}

	p := parts{raw: raw, signed: last}
	buf := make([]byte, base64.RawURLEncoding.DecodedLen(len(raw)))
	for _, part := range []struct {
		name string
		text string
		into *[]byte
	}{
		{"header", raw[:first], &p.header},
		{"payload", raw[first+1 : last], &p.payload},
		{"signature", raw[last+1:], &p.signature},
	} {
		n, err := strict.Decode(buf, unsafe.Slice(unsafe.StringData(part.text), len(part.text)))
		if err != nil {
			return parts{}, malformed("the " + part.name + " is not canonical base64url")
		}
		*part.into, buf = buf[:n:n], buf[n:]
	}
	return p, nil
}

func partsDetail(dots int) string {
	switch dots {
	case 0:
		return "the token has no dots; a signed token is three parts with dots between"
	case 4:
		return "the token has five parts: it is encrypted (JWE), and usher reads signed tokens only"
	}
	return "the token is not three parts with dots between"
}
