package token

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// KnownHeaders remembers headers as they were spelt. The tokens that one key signs nearly always have the same header, byte
// for byte, and what it says need be read only once. It belongs to one Limits, whose Types decide what a header may say. The
// zero value is ready, and any number of goroutines may use it.
//
// Each header has one place, by its hash. Where two want the same place, the later one has it.
type KnownHeaders struct {
	places [64]atomic.Pointer[knownHeader]
}

type knownHeader struct {
	text string // base64url, as received
	Header
}

var headerSeed = maphash.MakeSeed()

func (k *KnownHeaders) place(text string) *atomic.Pointer[knownHeader] {
	return &k.places[maphash.String(headerSeed, text)%uint64(len(k.places))]
}

// find gives the header that is spelt as text; nil where it is not known.
func (k *KnownHeaders) find(text string) *knownHeader {
	if k == nil {
		return nil
	}
	if h := k.place(text).Load(); h != nil && h.text == text {
		return h
	}
	return nil
}

// Remember takes the header of t. It is for tokens whose signature was good: else anybody could have it forget what
// everybody uses.
func (k *KnownHeaders) Remember(t *Token) {
	text, _, _ := strings.Cut(stringOf(t.SigningInput), ".")
	if k.find(text) != nil {
		return
	}
	h := t.Header
	h.Alg, h.Kid, h.Typ = strings.Clone(h.Alg), strings.Clone(h.Kid), strings.Clone(h.Typ)
	k.place(text).Store(&knownHeader{text: strings.Clone(text), Header: h})
}
