package token_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"sync"
	"testing"

	"github.com/usher-im/usher/internal/token"
)

// What is kept from one check must show in no other: checks follow each other, good and bad, of every algorithm, on
// several goroutines.
func TestMAC_EachCheckStandsForItself(t *testing.T) {
	secret := []byte("a secret that both sides have known for long")
	m, other := token.NewVerifier(secret), token.NewVerifier([]byte("another secret, of somebody else entirely"))
	hashes := map[token.Algorithm]func() hash.Hash{token.HS256: sha256.New, token.HS384: sha512.New384, token.HS512: sha512.New}
	var group sync.WaitGroup
	for lane := range 4 {
		group.Go(func() {
			for n := range 200 {
				signed := fmt.Appendf(nil, "%d.%d", lane, n)
				for alg, h := range hashes {
					mac := hmac.New(h, secret)
					mac.Write(signed)
					signature := mac.Sum(nil)
					if err := m.Verify(alg, signed, signature); err != nil {
						t.Errorf("%s: a good signature: %v", alg, err)
					}
					for name, bad := range map[string][]byte{
						"none": nil, "cut": signature[:len(signature)-1], "longer": append(signature[:len(signature):len(signature)], 0),
						"changed": append(signature[:len(signature)-1:len(signature)-1], signature[len(signature)-1]^1),
					} {
						if m.Verify(alg, signed, bad) == nil {
							t.Errorf("%s: a signature that is %s was taken", alg, name)
						}
					}
					if other.Verify(alg, signed, signature) == nil {
						t.Errorf("%s: another secret took the signature", alg)
					}
				}
			}
		})
	}
	group.Wait()
}

func TestMAC_ServesNoOtherAlgorithm(t *testing.T) {
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write([]byte("a.b"))
	for _, alg := range token.Algorithms() {
		if err := token.NewVerifier([]byte("secret")).Verify(alg, []byte("a.b"), mac.Sum(nil)); (err == nil) != (alg == token.HS256) {
			t.Errorf("%s: %v", alg, err)
		}
	}
}
