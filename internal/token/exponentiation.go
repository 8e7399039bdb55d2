package token

import (
	"crypto/fips140"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"slices"

	"filippo.io/bigmod"
)

// exponentiation checks the signatures of RS256, RS384 and RS512 (RFC 7518, section 3.3: RSASSA-PKCS1-v1_5, RFC 8017,
// section 8.2.2) by one RSA key. crypto/rsa derives a Montgomery form of the modulus for every signature, a third of the
// check; here it is derived once. The arithmetic is that of crypto/rsa, which bigmod publishes; its rules stand here.
type exponentiation struct {
	modulus             *bigmod.Modulus
	exponent            uint
	rs256, rs384, rs512 []byte // what the message of a good signature begins with, up to the hash
}

// leastBits leave room for the message of every hash. No key that a config names has fewer.
const leastBits = 2048

// newExponentiation gives nil for a key that it leaves to crypto/rsa: one that is not as keys usually are, which is then
// refused there or taken, and any at all where the process must use none but validated cryptography (GODEBUG=fips140=on).
func newExponentiation(key *rsa.PublicKey) *exponentiation {
	if fips140.Enabled() || key == nil || key.N == nil || key.N.Sign() <= 0 || key.N.Bit(0) == 0 || key.N.BitLen() < leastBits ||
		key.E < 3 || key.E&1 == 0 || key.E > 1<<31-1 {
		return nil
	}
	modulus, err := bigmod.NewModulus(key.N.Bytes())
	if err != nil {
		return nil
	}
	e := &exponentiation{modulus: modulus, exponent: uint(key.E)}
	e.rs256 = e.front(sha256Info, sha256.Size)
	e.rs384 = e.front(sha384Info, sha512.Size384)
	e.rs512 = e.front(sha512Info, sha512.Size)
	return e
}

// The DER of a DigestInfo up to the hash (RFC 8017, section 9.2, note 1).
const (
	sha256Info = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
	sha384Info = "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"
	sha512Info = "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"
)

// front is 00 01 FF… 00 and the DigestInfo (RFC 8017, section 9.2): the whole message is given by the hash, so a signature
// is good where its message equals it, and none is ever parsed.
func (e *exponentiation) front(info string, hash int) []byte {
	padding := e.modulus.Size() - hash - len(info) - 3
	return slices.Concat([]byte{0, 1}, slices.Repeat([]byte{0xff}, padding), []byte{0}, []byte(info))
}

func (e *exponentiation) verify(a Algorithm, signingInput, signature []byte) bool {
	var room [sha512.Size]byte
	sum, front := room[:0], e.rs256
	switch a {
	case RS256:
		h := sha256.Sum256(signingInput)
		sum = append(sum, h[:]...)
	case RS384:
		h := sha512.Sum384(signingInput)
		sum, front = append(sum, h[:]...), e.rs384
	case RS512:
		h := sha512.Sum512(signingInput)
		sum, front = append(sum, h[:]...), e.rs512
	default:
		return false
	}
	if len(signature) != e.modulus.Size() {
		return false
	}
	s, err := bigmod.NewNat().SetBytes(signature, e.modulus)
	if err != nil { // not below the modulus
		return false
	}
	message := bigmod.NewNat().ExpShortVarTime(s, e.exponent, e.modulus).Bytes(e.modulus)
	return subtle.ConstantTimeCompare(message[:len(front)], front)&subtle.ConstantTimeCompare(message[len(front):], sum) == 1
}
