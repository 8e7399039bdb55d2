package revocation

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"slices"
	"sync"
	"sync/atomic"
)

// nameBytes is how much of an encrypted key goes out. The feed's keys are hints and two that meet by chance cost one
// question more, so nine bytes (twelve characters) are plenty and keep the shim's messages small.
const nameBytes = 9

// Name is a key as the feed tells it, in base64url.
type Name [nameBytes / 3 * 4]byte

// ciphers turn keys into opaque names: one AES block under a secret that the store keeps, so that a name is the same on
// every node and tells nobody what it stands for.
//
// A store that was emptied may come back with another secret, while sessions still hold names under the old one: what
// is revoked goes out under every secret that this process has known.
type ciphers struct {
	mu    sync.Mutex
	known atomic.Pointer[[]secret] // the current one last
}

type secret struct {
	bytes [16]byte
	block cipher.Block
}

// secretsKept bounds how many are remembered.
const secretsKept = 4

func (c *ciphers) learn(bytes [16]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var known []secret
	if p := c.known.Load(); p != nil {
		known = slices.DeleteFunc(slices.Clone(*p), func(s secret) bool { return s.bytes == bytes })
	}
	block, err := aes.NewCipher(bytes[:])
	if err != nil {
		return // not for 16 bytes
	}
	known = append(known, secret{bytes, block})
	if len(known) > secretsKept {
		known = known[1:]
	}
	c.known.Store(&known)
}

// blocks are to encrypt in: what a cipher.Block is given escapes.
var blocks = sync.Pool{New: func() any { return new(Key) }}

// appendNames encrypts and spells keys.
func (s *secret) appendNames(names []Name, keys []Key) []Name {
	block := blocks.Get().(*Key)
	defer blocks.Put(block)
	for i := range keys {
		s.block.Encrypt(block[:], keys[i][:])
		var name Name
		base64.RawURLEncoding.Encode(name[:], block[:nameBytes])
		names = append(names, name)
	}
	return names
}

// names gives every name under which keys were ever handed out.
func (c *ciphers) names(keys []Key) []string {
	p := c.known.Load()
	if p == nil {
		return nil
	}
	names := make([]string, 0, len(keys)*len(*p))
	for i := range *p {
		for _, name := range (*p)[i].appendNames(nil, keys) {
			names = append(names, string(name[:]))
		}
	}
	return names
}

// of appends the names of a token under the current secret; none before there is one.
func (c *ciphers) of(names []Name, m *Marks) []Name {
	p := c.known.Load()
	if p == nil {
		return names
	}
	current := &(*p)[len(*p)-1]
	return current.appendNames(current.appendNames(names, m.keys[:m.n]), m.more)
}
