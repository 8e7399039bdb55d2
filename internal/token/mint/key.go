package mint

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"

	"github.com/usher-im/usher/internal/token"
)

// Key generates a new key for alg. private is what Spec.Key takes and public what token.Algorithm.Verify takes; for HS
// algorithms both are the same 64 letters and digits, as secrets are written into files. It panics where alg is none of token.Algorithms.
func Key(alg token.Algorithm) (private, public any) {
	switch alg {
	case token.HS256, token.HS384, token.HS512:
		secret := []byte(rand.Text() + rand.Text() + rand.Text())[:64]
		return secret, secret
	case token.RS256, token.RS384, token.RS512, token.PS256, token.PS384, token.PS512:
		k := must(rsa.GenerateKey(rand.Reader, 2048))
		return k, &k.PublicKey
	case token.ES256:
		return ecKey(elliptic.P256())
	case token.ES384:
		return ecKey(elliptic.P384())
	case token.ES512:
		return ecKey(elliptic.P521())
	case token.EdDSA:
		k := must(generateEd25519())
		return k, k.Public()
	}
	panic(fmt.Sprintf("no key for the algorithm %q", alg))
}

var shared sync.Map // token.Algorithm -> func() [2]any

// SharedKey is like Key, but gives the same key for alg throughout the process: RSA keys are slow to generate.
func SharedKey(alg token.Algorithm) (private, public any) {
	once, _ := shared.LoadOrStore(alg, sync.OnceValue(func() [2]any {
		private, public := Key(alg)
		return [2]any{private, public}
	}))
	pair := once.(func() [2]any)()
	return pair[0], pair[1]
}

// PublicPEM writes a public key as Key gives it, as openssl does.
func PublicPEM(public any) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("write the public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// PrivatePEM writes a private key as Key gives it, as openssl does.
func PrivatePEM(private any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("write the private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParsePrivate reads the first private key in a PEM file: PKCS #8, PKCS #1 or SEC 1, not encrypted.
func ParsePrivate(text []byte) (any, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "PRIVATE KEY":
			return x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			return x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the private key is encrypted; decrypt it with `openssl pkey` first")
		}
	}
	return nil, errors.New("there is no private key in PEM form; to sign, the private half is needed")
}

// signingKey makes of key what jwx signs with, and binds type and curve as the verifier does.
func signingKey(alg token.Algorithm, key any) (any, error) {
	if text, ok := key.(string); ok {
		key = []byte(text)
	}
	if text, ok := key.([]byte); ok && !alg.Symmetric() {
		if !bytes.Contains(text, []byte("-----BEGIN")) {
			return nil, fmt.Errorf("%s is signed with a private key in PEM form, not with a secret", alg)
		}
		private, err := ParsePrivate(text)
		if err != nil {
			return nil, err
		}
		key = private
	}
	public := key
	if signer, ok := key.(crypto.Signer); ok {
		public = signer.Public()
	}
	return key, alg.Fits(public)
}

func ecKey(curve elliptic.Curve) (private, public any) {
	k := must(ecdsa.GenerateKey(curve, rand.Reader))
	return k, &k.PublicKey
}

func generateEd25519() (ed25519.PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

func must[T any](key T, err error) T {
	if err != nil {
		panic(err) // the system has no randomness
	}
	return key
}
