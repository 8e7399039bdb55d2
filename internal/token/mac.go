package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"sync"
)

// mac checks the signatures of HS256, HS384 and HS512 (RFC 7518, section 3.2) by one shared secret. It keeps hashes that
// have begun with the secret: to begin both rounds of an HMAC anew (RFC 2104, section 4) takes a third of a check.
type mac struct{ hs256, hs384, hs512 sync.Pool }

// begun is a hash with room for what it comes to.
type begun struct {
	hash.Hash
	sum [sha512.Size]byte
}

func newMAC(secret []byte) *mac {
	m := new(mac)
	begin := func(pool *sync.Pool, h func() hash.Hash) {
		pool.New = func() any { return &begun{Hash: hmac.New(h, secret)} }
	}
	begin(&m.hs256, sha256.New)
	begin(&m.hs384, sha512.New384)
	begin(&m.hs512, sha512.New)
	return m
}

// verify checks in a time that does not depend on where the signatures differ.
func (m *mac) verify(a Algorithm, signingInput, signature []byte) bool {
	pool := &m.hs256
	switch a {
	case HS256:
	case HS384:
		pool = &m.hs384
	case HS512:
		pool = &m.hs512
	default:
		return false
	}
	h := pool.Get().(*begun)
	defer pool.Put(h)
	h.Reset()
	h.Write(signingInput)
	return hmac.Equal(h.Sum(h.sum[:0]), signature)
}
