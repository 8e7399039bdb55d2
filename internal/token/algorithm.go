package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
)

// Algorithm is a JWS signature algorithm (RFC 7518, section 3; RFC 8037) that usher accepts. There is no "none".
type Algorithm string

// The algorithms. Case matters, as in RFC 7515, section 4.1.1.
const (
	HS256 Algorithm = "HS256"
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	EdDSA Algorithm = "EdDSA"
)

// Algorithms lists all that ParseAlgorithm knows.
func Algorithms() []Algorithm {
	return []Algorithm{HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA}
}

// ParseAlgorithm reads a name as it stands in a header or in the config.
func ParseAlgorithm(name string) (Algorithm, bool) {
	a := Algorithm(name)
	switch a {
	case HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA:
		return a, true
	}
	return "", false
}

// Symmetric tells whether a is keyed by a shared secret.
func (a Algorithm) Symmetric() bool {
	return a == HS256 || a == HS384 || a == HS512
}

// Fits says why key cannot serve a, or nil. It binds type and curve (jwx itself verifies ES256 with a P-384 key), so
// that a public key is never taken for a secret, nor one curve for another. Keys are []byte, *rsa.PublicKey,
// *ecdsa.PublicKey or ed25519.PublicKey.
func (a Algorithm) Fits(key any) error {
	switch k := key.(type) {
	case []byte:
		return a.fitsSecret(k)
	case *rsa.PublicKey:
		return a.fitsRSA(k)
	case *ecdsa.PublicKey:
		return a.fitsCurve(k)
	case ed25519.PublicKey:
		return a.fitsEd25519(k)
	}
	return fmt.Errorf("a key of type %T serves no signature algorithm", key)
}

func (a Algorithm) fitsSecret(k []byte) error {
	if !a.Symmetric() {
		return fmt.Errorf("a shared secret does not serve %s", a)
	}
	if len(k) == 0 {
		return errors.New("the shared secret is empty")
	}
	return nil
}

func (a Algorithm) fitsRSA(k *rsa.PublicKey) error {
	switch a {
	case RS256, RS384, RS512, PS256, PS384, PS512:
	default:
		return fmt.Errorf("an RSA key does not serve %s", a)
	}
	if k == nil || k.N == nil {
		return errors.New("the RSA key is empty")
	}
	return nil
}

func (a Algorithm) fitsCurve(k *ecdsa.PublicKey) error {
	if k == nil || k.Curve == nil {
		return errors.New("the EC key is empty")
	}
	if a.curve() != k.Curve {
		return fmt.Errorf("an EC key on %s does not serve %s", k.Curve.Params().Name, a)
	}
	return nil
}

func (a Algorithm) fitsEd25519(k ed25519.PublicKey) error {
	if a != EdDSA {
		return fmt.Errorf("an Ed25519 key does not serve %s", a)
	}
	// crypto/ed25519 panics on a key of another length.
	if len(k) != ed25519.PublicKeySize {
		return errors.New("the Ed25519 key has the wrong length")
	}
	return nil
}

// curve is the one that RFC 7518, section 3.4, ties to a; nil for what is not ECDSA.
func (a Algorithm) curve() elliptic.Curve {
	switch a {
	case ES256:
		return elliptic.P256()
	case ES384:
		return elliptic.P384()
	case ES512:
		return elliptic.P521()
	}
	return nil
}

// DefaultAlgorithms are those that an issuer block accepts for key when it lists none.
func DefaultAlgorithms(key any) []Algorithm {
	for _, a := range [...]Algorithm{HS256, RS256, ES256, ES384, ES512, EdDSA} {
		if a.Fits(key) == nil {
			return []Algorithm{a}
		}
	}
	return nil
}
