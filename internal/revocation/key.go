package revocation

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Key is what a revocation is known by: 128 bits of a SHA-256 over its selector, scope and value. The same on every
// node and in every store, so it is also the revocation's id, and revoking twice is one revocation by construction.
//
// A cryptographic hash, not a fast one: whoever writes names into tokens must not be able to make two of them collide.
// It is computed once per proven token and never on the warm path.
type Key [16]byte

// String is the revocation's id: 32 hex digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// ParseKey reads a revocation's id.
func ParseKey(id string) (Key, bool) {
	var k Key
	if len(id) != hex.EncodedLen(len(k)) {
		return Key{}, false
	}
	if _, err := hex.Decode(k[:], []byte(id)); err != nil {
		return Key{}, false
	}
	return k, true
}

// keyOf hashes one name, whose value may come in parts. The length in front of the issuer keeps (ab, c) apart from
// (a, bc). A token has no hash here: its fingerprint is its key, and as signing inputs never begin with a byte this
// small, no name can be written that hashes to one.
func keyOf(k kind, issuer string, value ...string) Key {
	var room [192]byte // all of it is cleared each time
	b := append(room[:0], byte(k))
	b = binary.AppendUvarint(b, uint64(len(issuer)))
	b = append(b, issuer...)
	for _, part := range value {
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return Key(sum[:16])
}
