package token_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// edits are what forgers do to a signature. input is what it signs, private the key that signed.
var edits = map[string]func(t testing.TB, private any, input string, signature []byte) []byte{
	"empty":    func(testing.TB, any, string, []byte) []byte { return nil },
	"truncate": func(_ testing.TB, _ any, _ string, s []byte) []byte { return s[:len(s)-1] },
	"extend":   func(_ testing.TB, _ any, _ string, s []byte) []byte { return append(s, 0) },
	"prefix":   func(_ testing.TB, _ any, _ string, s []byte) []byte { return append([]byte{0}, s...) },
	"zero":     func(_ testing.TB, _ any, _ string, s []byte) []byte { return make([]byte, len(s)) },
	"ones":     func(_ testing.TB, _ any, _ string, s []byte) []byte { return bytes.Repeat([]byte{0xff}, len(s)) },
	"ones-114": func(testing.TB, any, string, []byte) []byte { return bytes.Repeat([]byte{0xff}, 114) },
	"zero-half": func(_ testing.TB, _ any, _ string, s []byte) []byte {
		return append(s[:len(s)/2], make([]byte, len(s)/2)...)
	},
	"order": func(testing.TB, any, string, []byte) []byte {
		n := elliptic.P256().Params().N.Bytes()
		return append(slices.Clone(n), n...)
	},
	"der":        asDER,
	"plus-order": plusOrder,
	"salt-0": func(t testing.TB, private any, input string, s []byte) []byte {
		return salted(t, private, input, 0, len(s))
	},
	"salt-max": func(t testing.TB, private any, input string, s []byte) []byte {
		return salted(t, private, input, rsa.PSSSaltLengthAuto, len(s))
	},
}

// asDER writes an ECDSA signature as ASN.1, as TLS and openssl do.
func asDER(t testing.TB, _ any, _ string, s []byte) []byte {
	r, sv := new(big.Int).SetBytes(s[:len(s)/2]), new(big.Int).SetBytes(s[len(s)/2:])
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, sv})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// plusOrder adds the order of edwards25519 to S, which names the same number.
func plusOrder(_ testing.TB, _ any, _ string, signature []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(signature[32:])
	slices.Reverse(s) // little-endian
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return append(slices.Clone(signature[:32]), sum...)
}

// salted signs anew by PSS with a salt that RFC 7518 does not allow.
func salted(t testing.TB, private any, input string, salt, _ int) []byte {
	header := decoded(t, input[:strings.IndexByte(input, '.')])
	hash := map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512}[header[8:13]]
	h := hash.New()
	h.Write([]byte(input))
	signature, err := rsa.SignPSS(rand.Reader, private.(*rsa.PrivateKey), hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: salt})
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// strayBit sets the lowest bit of a part's last character, which stands for nothing there.
func strayBit(t testing.TB, part string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(part)%4 == 0 {
		t.Fatalf("a part of %d characters has no stray bits", len(part))
	}
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last|1])
}
