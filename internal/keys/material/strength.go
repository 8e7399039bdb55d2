package material

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

const (
	// RFC 7518, sections 3.3 and 3.5: an RSA key of 2048 bits or larger.
	minRSABits = 2048
	// No more than this, or one signature check takes so long that a key server could stall the verifier with it.
	maxRSABits = 16384
	// RFC 7518, section 3.2: an HS256 secret as long as the hash. A shorter one is guessed offline from one token.
	minSecret = 32
)

// sound says why value must not verify anything, or nil.
func sound(value any) error {
	switch v := value.(type) {
	case *rsa.PublicKey:
		return soundRSA(v)
	case *ecdsa.PublicKey:
		return soundEC(v)
	case ed25519.PublicKey:
		return soundEd25519(v)
	}
	return errors.New("it is a key of a kind that verifies no token; use RSA, EC on P-256, P-384 or P-521, or Ed25519")
}

func soundRSA(k *rsa.PublicKey) error {
	if k.N == nil || k.N.Sign() <= 0 || k.N.Bit(0) == 0 || k.E < 3 || k.E&1 == 0 {
		return errors.New("it is no valid RSA key")
	}
	switch bits := k.N.BitLen(); {
	case bits < minRSABits:
		return fmt.Errorf("it is an RSA key of %d bits, which can be broken; use %d or more", bits, minRSABits)
	case bits > maxRSABits:
		return fmt.Errorf("it is an RSA key of %d bits, which takes too long to check; use %d or fewer", bits, maxRSABits)
	}
	return nil
}

func soundEC(k *ecdsa.PublicKey) error {
	// ECDH refuses every curve that is not P-256, P-384 or P-521, and a point that is not on its curve.
	if _, err := k.ECDH(); err != nil {
		return errors.New("it is no valid EC key on P-256, P-384 or P-521")
	}
	return nil
}

func soundEd25519(k ed25519.PublicKey) error {
	if len(k) != ed25519.PublicKeySize {
		return errors.New("it is no valid Ed25519 key: its length is wrong")
	}
	y := [ed25519.PublicKeySize]byte(k)
	y[31] &= 0x7f // less the sign of x
	if slices.Contains(smallOrder[:], hex.EncodeToString(y[:])) {
		return errors.New("it is no valid Ed25519 key: anybody could sign for it")
	}
	return nil
}

// smallOrder are the eight points of small order by their y, also as it is spelt past the modulus. RFC 8032 does not have
// them refused, and a signature that needs no key is good for every eighth message or more. All zeros is one of them.
var smallOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}
