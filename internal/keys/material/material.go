// Package material turns bytes that hold keys into keys that may verify a signature: secrets, PEM, JSON Web Key Sets
// and maps from kid to certificate. It refuses what is too weak or not meant for verifying, whatever the algorithm
// libraries would take. It does no I/O.
//
// Its errors are read by operators, and by auditors in `usher keys list`: they say what is wrong and what to do, and
// never quote a key.
package material

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"strconv"

	"github.com/usher-im/usher/internal/token"
)

// Key is one key as its source gives it.
type Key struct {
	// Kid is the published name; empty where the source gives none.
	Kid string
	// Alg is the only algorithm that the source wants the key used for; empty where it does not say.
	Alg token.Algorithm
	// Value is []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
	Value any
	// Thumbprint is the RFC 7638 SHA-256 thumbprint of a public key, in base64url. A secret has none: a hash of it
	// would be something to guess against.
	Thumbprint string
}

// Type names the kind of k for people: secret, RSA, EC or Ed25519.
func Type(value any) string {
	switch value.(type) {
	case []byte:
		return "secret"
	case *rsa.PublicKey:
		return "RSA"
	case *ecdsa.PublicKey:
		return "EC"
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return ""
}

// Bits is the size of value: of a secret its length, of an RSA key its modulus, of an EC key its curve.
func Bits(value any) int {
	switch v := value.(type) {
	case []byte:
		return len(v) * 8
	case *rsa.PublicKey:
		return v.N.BitLen()
	case *ecdsa.PublicKey:
		return v.Curve.Params().BitSize
	case ed25519.PublicKey:
		return len(v) * 8
	}
	return 0
}

// Curve names an elliptic key's curve; empty for other keys.
func Curve(value any) string {
	switch v := value.(type) {
	case *ecdsa.PublicKey:
		return v.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return ""
}

// Quote makes a name from outside fit for a message: escaped, and cut where it is long.
func Quote(name string) string {
	const most = 64
	if len(name) > most {
		return strconv.QuoteToASCII(name[:most]) + "…"
	}
	return strconv.QuoteToASCII(name)
}
