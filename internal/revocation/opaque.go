package revocation

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// nameBytes is how much of an encrypted key goes out. The feed's keys are hints and two that meet by chance cost one
// question more, so nine bytes (twelve characters) are plenty and keep the shim's messages small.
const nameBytes = 9

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

// namesOf encrypts and spells keys in one piece of memory, since it is done for every new token.
func (s *secret) namesOf(keys []Key) []string {
	const spelt = nameBytes / 3 * 4
	names := make([]string, len(keys))
	room := make([]byte, aes.BlockSize+spelt*len(keys))
	block, text := room[:aes.BlockSize], room[aes.BlockSize:]
	for i := range keys {
		copy(block, keys[i][:])
		s.block.Encrypt(block, block)
		base64.RawURLEncoding.Encode(text[:spelt], block[:nameBytes])
		names[i] = unsafe.String(&text[0], spelt) // nobody writes there again
		text = text[spelt:]
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
		names = append(names, (*p)[i].namesOf(keys)...)
	}
	return names
}

// of gives the names of a token under the current secret; none before there is one.
func (c *ciphers) of(m *Marks) []string {
	p := c.known.Load()
	if p == nil {
		return nil
	}
	current := &(*p)[len(*p)-1]
	names := current.namesOf(m.keys[:m.n])
	if len(m.rooms) > 0 {
		names = append(names, current.namesOf(m.rooms)...)
	}
	return names
}
