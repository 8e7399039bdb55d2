package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// errSignature says no more: what exactly did not match is of use to nobody but a forger.
var errSignature = errors.New("the signature does not match the token and the key")

// verifiers are jwx's, one an algorithm; they hold no state, so they are made once.
var verifiers = func() map[Algorithm]jws.Verifier {
	made := make(map[Algorithm]jws.Verifier)
	for _, a := range Algorithms() {
		v, err := jws.NewVerifier(jwa.SignatureAlgorithm(a))
		if err != nil {
			panic(fmt.Sprintf("jwx has no verifier for %s: %v", a, err)) // a build without the algorithm
		}
		made[a] = v
	}
	return made
}()

// Verify checks signature over signingInput, the bytes as received, with key alone. It never encodes or decodes
// anything again, so a token has one spelling. A key that does not fit a is an error, as Fits says.
func (a Algorithm) Verify(key any, signingInput, signature []byte) error {
	if a == RS256 || a == PS256 || a == ES256 {
		return a.VerifySum(key, signingInput, sha256.Sum256(signingInput), signature)
	}
	if err := a.Fits(key); err != nil {
		return err
	}
	if k, ok := key.(*rsa.PublicKey); ok && a.pss() {
		h := a.hash().New()
		h.Write(signingInput)
		return verdict(a.verifyPSS(k, h.Sum(nil), signature))
	}
	return verdict(verifiers[a].Verify(signingInput, signature, key) == nil)
}

// VerifySum is Verify for who has the SHA-256 of signingInput at hand, as everybody has who knows the token's
// fingerprint. Where the algorithm signs that very sum, the standard library is asked with it: jwx would hash anew.
func (a Algorithm) VerifySum(key any, signingInput []byte, sum [sha256.Size]byte, signature []byte) error {
	if a != RS256 && a != PS256 && a != ES256 {
		return a.Verify(key, signingInput, signature)
	}
	if err := a.Fits(key); err != nil {
		return err
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return verdict(verifyES256(k, sum, signature))
	case *rsa.PublicKey:
		if a == PS256 {
			return verdict(a.verifyPSS(k, sum[:], signature))
		}
		return verdict(rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil)
	}
	return errSignature // Fits lets no other key pass
}

func verdict(good bool) error {
	if !good {
		return errSignature
	}
	return nil
}

// verifyES256 reads a signature as RFC 7518, section 3.4, writes it: R and S, 32 bytes each, no more and no fewer.
func verifyES256(key *ecdsa.PublicKey, sum [sha256.Size]byte, signature []byte) bool {
	const half = 32
	if len(signature) != 2*half {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
	return ecdsa.Verify(key, sum[:], r, s)
}

// hash is what a PS algorithm hashes the signing input with.
func (a Algorithm) hash() crypto.Hash {
	switch a {
	case PS384:
		return crypto.SHA384
	case PS512:
		return crypto.SHA512
	}
	return crypto.SHA256
}

func (a Algorithm) pss() bool { return a == PS256 || a == PS384 || a == PS512 }

// verifyPSS asks the standard library, because RFC 7518, section 3.5, wants a salt as long as the hash and jwx takes
// a salt of any length.
func (a Algorithm) verifyPSS(key *rsa.PublicKey, digest, signature []byte) bool {
	opt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash()}
	return rsa.VerifyPSS(key, a.hash(), digest, signature, opt) == nil
}
