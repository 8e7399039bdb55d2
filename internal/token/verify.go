package token

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// errSignature says no more: what exactly did not match is of use to nobody but a forger.
var errSignature = errors.New("the signature does not match the token and the key")

// verifiers are jwx's, one an asymmetric algorithm; they hold no state, so they are made once.
var verifiers = func() map[Algorithm]jws.Verifier {
	made := make(map[Algorithm]jws.Verifier)
	for _, a := range Algorithms() {
		if a.Symmetric() {
			continue
		}
		v, err := jws.NewVerifier(jwa.SignatureAlgorithm(a))
		if err != nil {
			panic(fmt.Sprintf("jwx has no verifier for %s: %v", a, err)) // a build without the algorithm
		}
		made[a] = v
	}
	return made
}()

// Verifier checks signatures by one key, and keeps what all checks by that key begin with. It may be used from any number
// of goroutines.
type Verifier struct {
	key any
	mac *mac // of a shared secret
	rsa *exponentiation
}

// NewVerifier takes a key of the types that Algorithm.Fits names, which must not be changed any more.
func NewVerifier(key any) *Verifier {
	v := &Verifier{key: key}
	switch k := key.(type) {
	case []byte:
		v.mac = newMAC(k)
	case *rsa.PublicKey:
		v.rsa = newExponentiation(k)
	}
	return v
}

// Verify checks signature over signingInput, the bytes as received. It never encodes or decodes anything again, so a
// token has one spelling. A key that does not fit a is an error, as Fits says.
func (v *Verifier) Verify(a Algorithm, signingInput, signature []byte) error {
	if err := a.Fits(v.key); err != nil {
		return err
	}
	if !v.good(a, signingInput, signature) {
		return errSignature
	}
	return nil
}

func (v *Verifier) good(a Algorithm, signingInput, signature []byte) bool {
	if v.mac != nil {
		return v.mac.verify(a, signingInput, signature)
	}
	if k, ok := v.key.(*rsa.PublicKey); ok {
		if hash := a.pss(); hash != 0 {
			return verifyPSS(hash, k, signingInput, signature)
		}
	}
	if v.rsa != nil {
		return v.rsa.verify(a, signingInput, signature)
	}
	return verifiers[a].Verify(signingInput, signature, v.key) == nil
}

// pss is the hash of a PS algorithm, and 0 for all others.
func (a Algorithm) pss() crypto.Hash {
	switch a {
	case PS256:
		return crypto.SHA256
	case PS384:
		return crypto.SHA384
	case PS512:
		return crypto.SHA512
	}
	return 0
}

// verifyPSS asks the standard library, because RFC 7518, section 3.5, wants a salt as long as the hash and jwx takes
// a salt of any length.
func verifyPSS(hash crypto.Hash, key *rsa.PublicKey, signingInput, signature []byte) bool {
	h := hash.New()
	h.Write(signingInput)
	opt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	return rsa.VerifyPSS(key, hash, h.Sum(nil), signature, opt) == nil
}
