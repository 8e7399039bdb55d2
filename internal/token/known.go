package token

import (
	"strings"
	"sync/atomic"
)

// KnownHeader remembers one header as it was spelt. An issuer's tokens nearly always have the same one, byte for byte, and
// what it says need be read only once. It belongs to one Limits, whose Types decide what a header may say. The zero value
// is ready, and any number of goroutines may use it.
type KnownHeader struct{ last atomic.Pointer[knownHeader] }

type knownHeader struct {
	text string // base64url, as received
	Header
}

var noHeader knownHeader

func (k *KnownHeader) load() *knownHeader {
	if k != nil {
		if last := k.last.Load(); last != nil {
			return last
		}
	}
	return &noHeader
}

// Remember takes the header of t in place of the one before. It is for tokens whose signature was good: else anybody
// could have it forget the header that everybody uses.
func (k *KnownHeader) Remember(t *Token) {
	text, _, _ := strings.Cut(stringOf(t.SigningInput), ".")
	if k.load().text == text {
		return
	}
	h := t.Header
	h.Alg, h.Kid, h.Typ = strings.Clone(h.Alg), strings.Clone(h.Kid), strings.Clone(h.Typ)
	k.last.Store(&knownHeader{text: strings.Clone(text), Header: h})
}
