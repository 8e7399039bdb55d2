package material

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"
)

// The keys of these tests are made when they run; making RSA keys takes long, so each size is made once.
var (
	rsa2048 = sync.OnceValue(func() *rsa.PrivateKey { return makeRSA(2048) })
	ec256   = sync.OnceValue(func() *ecdsa.PrivateKey { return makeEC(elliptic.P256()) })
	ec224   = sync.OnceValue(func() *ecdsa.PrivateKey { return makeEC(elliptic.P224()) })
	edKey   = sync.OnceValue(func() ed25519.PrivateKey {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		must(err)
		return k
	})
)

func makeRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	must(err)
	return k
}

func makeEC(c elliptic.Curve) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	must(err)
	return k
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// modulus is an odd number of the given bits, which is all that a key's size says.
func modulus(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return n.Add(n, big.NewInt(1))
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func publicPEM(t *testing.T, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return block("PUBLIC KEY", der)
}

func pkcs8(t *testing.T, private any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func certificate(t *testing.T, signer crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "issuer.example.com"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Unix(1, 0), // long over: only the key counts
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return block("CERTIFICATE", der)
}

type object map[string]any

func (o object) with(name string, value any) object {
	next := object{}
	for k, v := range o {
		next[k] = v
	}
	next[name] = value
	return next
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaJWK(n *big.Int) object {
	return object{"kty": "RSA", "n": b64(n.Bytes()), "e": "AQAB"}
}

func ecJWK(k *ecdsa.PrivateKey, curve string) object {
	point, err := k.PublicKey.Bytes()
	must(err)
	half := (len(point) - 1) / 2
	return object{"kty": "EC", "crv": curve, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
}

func edJWK() object {
	return object{"kty": "OKP", "crv": "Ed25519", "x": b64(edKey().Public().(ed25519.PublicKey))}
}

func octJWK(secret string) object { return object{"kty": "oct", "k": b64([]byte(secret))} }

func jwks(keys ...any) []byte {
	text, err := json.Marshal(object{"keys": keys})
	must(err)
	return text
}
