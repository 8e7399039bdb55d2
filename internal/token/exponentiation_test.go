package token

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

var rsaHashes = map[Algorithm]crypto.Hash{RS256: crypto.SHA256, RS384: crypto.SHA384, RS512: crypto.SHA512}

// rsaKeys are of every kind that a config may hold: sizes that bigmod has code of its own for and others, and exponents
// that are not the usual one.
var rsaKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	var all []*rsa.PrivateKey
	for _, bits := range []int{2048, 2049, 2055, 3072} {
		all = append(all, makeRSA(bits, 65537))
	}
	return append(all, makeRSA(2048, 3), makeRSA(2048, 1<<31-1))
})

func makeRSA(bits int, e int64) *rsa.PrivateKey {
	for {
		p, err1 := rand.Prime(rand.Reader, (bits+1)/2)
		q, err2 := rand.Prime(rand.Reader, bits/2)
		if err1 != nil || err2 != nil {
			panic(fmt.Sprint(err1, err2))
		}
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		n, d := new(big.Int).Mul(p, q), new(big.Int).ModInverse(big.NewInt(e), phi)
		if n.BitLen() == bits && d != nil && p.Cmp(q) != 0 {
			return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: int(e)}, D: d, Primes: []*big.Int{p, q}}
		}
	}
}

// raised is the signature whose message is em, whatever em says: what a forger would need to find.
func raised(key *rsa.PrivateKey, em []byte) []byte {
	m := new(big.Int).SetBytes(em)
	return m.Exp(m, key.D, key.N).FillBytes(make([]byte, key.Size()))
}

func hashOf(h crypto.Hash, data []byte) []byte {
	made := h.New()
	made.Write(data)
	return made.Sum(nil)
}

// agree wants the verdict of crypto/rsa.
func agree(t *testing.T, what string, key *rsa.PublicKey, v *Verifier, alg Algorithm, signed, signature []byte) bool {
	t.Helper()
	h := rsaHashes[alg]
	want := rsa.VerifyPKCS1v15(key, h, hashOf(h, signed), signature) == nil
	if got := v.Verify(alg, signed, signature) == nil; got != want {
		t.Errorf("%s: %s with a key of %d bits and exponent %d: taken %t, by crypto/rsa %t", what, alg, key.N.BitLen(), key.E, got, want)
	}
	return want
}

func TestVerifier_RSA_AgreesWithTheStandardLibrary(t *testing.T) {
	signed := []byte("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJteS1hcHAifQ")
	for _, key := range rsaKeys() {
		v := NewVerifier(&key.PublicKey)
		if v.rsa == nil {
			t.Fatalf("a key of %d bits and exponent %d is left to crypto/rsa", key.N.BitLen(), key.E)
		}
		for alg := range rsaHashes {
			em := v.rsa.message(alg, signed)
			good := raised(key, em)
			if !agree(t, "good", &key.PublicKey, v, alg, signed, good) {
				t.Errorf("%s: crypto/rsa refuses our example", alg)
			}
			for what, bad := range badSignatures(key, alg, em, good, signed) {
				if agree(t, what, &key.PublicKey, v, alg, signed, bad) {
					t.Errorf("%s: the signature %s is good", alg, what)
				}
			}
			for other := range rsaHashes {
				if other != alg && agree(t, "of another hash", &key.PublicKey, v, other, signed, good) {
					t.Errorf("a signature of %s is one of %s", alg, other)
				}
			}
			if v.Verify(alg, append([]byte("x"), signed...), good) == nil {
				t.Errorf("%s: a signature of something else was taken", alg)
			}
		}
	}
}

// message is what a good signature comes to.
func (e *exponentiation) message(alg Algorithm, signed []byte) []byte {
	front := map[Algorithm][]byte{RS256: e.rs256, RS384: e.rs384, RS512: e.rs512}[alg]
	return append(bytes.Clone(front), hashOf(rsaHashes[alg], signed)...)
}

// badSignatures are what implementations were once fooled with: other paddings, lengths and spellings of the
// DigestInfo, bytes behind the hash, numbers that are not below the modulus.
func badSignatures(key *rsa.PrivateKey, alg Algorithm, em, good, signed []byte) map[string][]byte {
	sum := hashOf(rsaHashes[alg], signed)
	k := len(em)
	padded := func(first, kind, fill byte, padding int, tail ...[]byte) []byte {
		rest := bytes.Join(tail, nil)
		b := append([]byte{first, kind}, bytes.Repeat([]byte{fill}, padding)...)
		b = append(append(b, 0), rest...)
		if len(b) > k {
			b = b[:k]
		}
		return raised(key, append(b, make([]byte, k-len(b))...))
	}
	front := em[:k-len(sum)]
	zero := bytes.LastIndex(front, []byte{0xff, 0}) + 1
	info, filled := front[zero+1:], zero-2
	without := append(bytes.Clone(info[:len(info)-4]), 0x04, byte(len(sum)))
	without[1] -= 2
	without[3] -= 2
	long := append([]byte{0x30, 0x81}, info[1:]...)
	bad := map[string][]byte{
		"that is empty":                 nil,
		"cut":                           good[:k-1],
		"with a zero before it":         append([]byte{0}, good...),
		"with a zero behind it":         append(bytes.Clone(good), 0),
		"of all zeros":                  make([]byte, k),
		"one":                           append(make([]byte, k-1), 1),
		"of all ones":                   bytes.Repeat([]byte{0xff}, k),
		"the modulus":                   key.N.FillBytes(make([]byte, k)),
		"the modulus less one":          new(big.Int).Sub(key.N, big.NewInt(1)).FillBytes(make([]byte, k)),
		"of the bare hash":              raised(key, append(make([]byte, k-len(sum)), sum...)),
		"of block type 0":               padded(0, 0, 0xff, filled, info, sum),
		"of block type 2":               padded(0, 2, 0xff, filled, info, sum),
		"with another first byte":       padded(1, 1, 0xff, filled, info, sum),
		"padded with other bytes":       padded(0, 1, 0xfe, filled, info, sum),
		"padded by eight, then garbage": padded(0, 1, 0xff, 8, info, sum, bytes.Repeat([]byte{7}, k)),
		"padded by one too few":         padded(0, 1, 0xff, filled-1, info, sum, []byte{0}),
		"without the NULL":              padded(0, 1, 0xff, filled+2, without, sum),
		"with a length in long form":    padded(0, 1, 0xff, filled-1, long, sum),
		"without DigestInfo":            padded(0, 1, 0xff, filled+len(info), sum),
	}
	for _, at := range []int{0, k / 2, k - 1} {
		changed := bytes.Clone(good)
		changed[at] ^= 1
		bad[fmt.Sprintf("changed in byte %d", at)] = changed
		em := bytes.Clone(em)
		em[at] ^= 0x10
		if new(big.Int).SetBytes(em).Cmp(key.N) < 0 {
			bad[fmt.Sprintf("of a message changed in byte %d", at)] = raised(key, em)
		}
	}
	// The same number, once around the modulus.
	if more := new(big.Int).Add(new(big.Int).SetBytes(good), key.N); more.BitLen() <= 8*k {
		bad["more by the modulus"] = more.FillBytes(make([]byte, k))
	}
	return bad
}

// FuzzVerifier_RSA raises messages that a fuzzer makes up to signatures, and wants the verdict of crypto/rsa.
func FuzzVerifier_RSA(f *testing.F) {
	key := rsaKeys()[0]
	v := NewVerifier(&key.PublicKey)
	for alg := range rsaHashes {
		f.Add(v.rsa.message(alg, []byte("a.b")), []byte("a.b"), true)
		f.Add(v.rsa.message(alg, []byte("a.b")), []byte("a.b"), false)
	}
	f.Fuzz(func(t *testing.T, message, signed []byte, raise bool) {
		signature := message
		if raise {
			signature = raised(key, message)
		}
		for alg := range rsaHashes {
			agree(t, "made up", &key.PublicKey, v, alg, signed, signature)
		}
	})
}

func TestVerifier_RSA_LeavesUnusualKeysToTheStandardLibrary(t *testing.T) {
	good := rsaKeys()[0]
	even := new(big.Int).Lsh(big.NewInt(1), 2047)
	for what, key := range map[string]*rsa.PublicKey{
		"small": &makeRSA(1024, 65537).PublicKey, "without a modulus": {E: 65537}, "negative": {N: big.NewInt(-7), E: 3},
		"even": {N: even, E: 65537}, "exponent 0": {N: good.N}, "exponent 1": {N: good.N, E: 1}, "exponent 2": {N: good.N, E: 2},
		"even exponent": {N: good.N, E: 65536}, "negative exponent": {N: good.N, E: -3}, "huge exponent": {N: good.N, E: 1<<32 + 1},
	} {
		v := NewVerifier(key)
		if v.rsa != nil {
			t.Errorf("%s: taken", what)
		}
		if key.N == nil || key.N.Sign() <= 0 {
			continue // crypto/rsa may panic, and Fits or the config refuses
		}
		sum := sha256.Sum256([]byte("a.b"))
		agree(t, what, key, v, RS256, []byte("a.b"), append(make([]byte, key.Size()-len(sum)), sum[:]...))
	}
}

func TestVerifier_RSA_ValidatedCryptographyIsTheStandardLibrarys(t *testing.T) {
	const inside = "USHER_TEST_FIPS140"
	if os.Getenv(inside) == "" {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), inside+"=1", "GODEBUG=fips140=on")
		if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	v := NewVerifier(&key.PublicKey)
	if v.rsa != nil {
		t.Error("GODEBUG=fips140=on, and a signature would not be checked by crypto/rsa")
	}
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, hashOf(crypto.SHA256, []byte("a.b")))
	if err != nil {
		t.Fatal(err)
	}
	if !agree(t, "good", &key.PublicKey, v, RS256, []byte("a.b"), signature) {
		t.Error("a good signature was refused")
	}
}
