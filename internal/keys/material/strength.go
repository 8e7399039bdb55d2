package material

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
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
		if len(v) != ed25519.PublicKeySize {
			return errors.New("it is no valid Ed25519 key: its length is wrong")
		}
		return nil
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
