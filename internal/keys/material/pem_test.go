package material

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"
)

func TestPEM_TakesPublicKeysAndCertificates(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		kind string
		bits int
	}{
		"PKIX RSA":             {publicPEM(t, &rsa2048().PublicKey), "RSA", 2048},
		"PKCS#1":               {block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsa2048().PublicKey)), "RSA", 2048},
		"PKIX EC":              {publicPEM(t, &ec256().PublicKey), "EC", 256},
		"PKIX Ed25519":         {publicPEM(t, edKey().Public()), "Ed25519", 256},
		"certificate":          {certificate(t, rsa2048()), "RSA", 2048},
		"chain, leaf first":    {certificate(t, ec256()) + certificate(t, rsa2048()), "EC", 256},
		"words around the key": {"the app's key:\n" + publicPEM(t, &ec256().PublicKey) + "\nend\n", "EC", 256},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := PEM([]byte(c.text), "app.pem")
			if err != nil {
				t.Fatal(err)
			}
			if Type(k.Value) != c.kind || Bits(k.Value) != c.bits || k.Thumbprint == "" {
				t.Errorf("got %s of %d bits, thumbprint %q", Type(k.Value), Bits(k.Value), k.Thumbprint)
			}
		})
	}
}

func TestPEM_SaysWhatIsWrong(t *testing.T) {
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                  {"", "no PEM public key"},
		"no PEM":                   {"ssh-ed25519 AAAAC3Nz", "no PEM public key"},
		"other block":              {block("CERTIFICATE REQUEST", []byte("x")), `"CERTIFICATE REQUEST"`},
		"broken block":             {block("PUBLIC KEY", []byte("x")), "cannot be read"},
		"broken cert":              {block("CERTIFICATE", []byte("x")), "cannot be read"},
		"two keys":                 {publicPEM(t, &ec256().PublicKey) + publicPEM(t, edKey().Public()), "more than one key"},
		"RSA of 1024":              {publicPEM(t, &rsa.PublicKey{N: modulus(1024), E: 65537}), "1024 bits"},
		"RSA of 2047":              {publicPEM(t, &rsa.PublicKey{N: modulus(2047), E: 65537}), "2047 bits"},
		"RSA of 16385":             {publicPEM(t, &rsa.PublicKey{N: modulus(16385), E: 65537}), "takes too long"},
		"RSA exponent 1":           {publicPEM(t, &rsa.PublicKey{N: modulus(2048), E: 1}), "no valid RSA key"},
		"EC on P-224":              {publicPEM(t, &ec224().PublicKey), "P-256"},
		"X25519":                   {publicPEM(t, x25519.PublicKey()), "verifies no token"},
		"private, PKCS#8":          {pkcs8(t, edKey()), "openssl pkey -in app.pem -pubout -out app.pub.pem"},
		"private, PKCS#1":          {block("RSA PRIVATE KEY", []byte("x")), "openssl pkey"},
		"private, sealed":          {block("ENCRYPTED PRIVATE KEY", []byte("x")), "openssl pkey"},
		"private after the public": {publicPEM(t, &ec256().PublicKey) + block("EC PRIVATE KEY", []byte("x")), "openssl pkey"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := PEM([]byte(c.text), "app.pem")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something with %q", err, c.want)
			}
		})
	}
}

func TestPEM_TheLineThatMendsAPrivateKeyCanBePasted(t *testing.T) {
	_, err := PEM([]byte(block("PRIVATE KEY", nil)), "/etc/my app's/key.pem")
	want := `openssl pkey -in '/etc/my app'\''s/key.pem' -pubout -out '/etc/my app'\''s/key.pub.pem'`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPEM_ThumbprintIsRFC7638(t *testing.T) {
	// The key and the thumbprint of RFC 7638, section 3.1.
	const set = `{"keys":[{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}]}`
	keys, _, err := JWKS([]byte(set), SetRules{})
	if err != nil {
		t.Fatal(err)
	}
	if got := keys[0].Thumbprint; got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("got %s", got)
	}
}
