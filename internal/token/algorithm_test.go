package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// serves says which algorithms each kind of key may serve, and which by default.
var serves = []struct {
	kind      token.Algorithm // whose test key it is
	algs      []token.Algorithm
	byDefault token.Algorithm
}{
	{token.HS256, []token.Algorithm{token.HS256, token.HS384, token.HS512}, token.HS256},
	{token.RS256, []token.Algorithm{token.RS256, token.RS384, token.RS512, token.PS256, token.PS384, token.PS512}, token.RS256},
	{token.ES256, []token.Algorithm{token.ES256}, token.ES256},
	{token.ES384, []token.Algorithm{token.ES384}, token.ES384},
	{token.ES512, []token.Algorithm{token.ES512}, token.ES512},
	{token.EdDSA, []token.Algorithm{token.EdDSA}, token.EdDSA},
}

func TestAlgorithm_BindsTypeAndCurveOfTheKey(t *testing.T) {
	for _, s := range serves {
		_, key := mint.SharedKey(s.kind)
		for _, alg := range token.Algorithms() {
			err := alg.Fits(key)
			if want := slices.Contains(s.algs, alg); (err == nil) != want {
				t.Errorf("%s with a key of %s: %v, want fit %t", alg, s.kind, err, want)
			}
			if err != nil && token.NewVerifier(key).Verify(alg, []byte("a.b"), []byte("c")).Error() != err.Error() {
				t.Errorf("Verify with %s and a key of %s does not say that it does not fit", alg, s.kind)
			}
		}
		if got := token.DefaultAlgorithms(key); !slices.Equal(got, []token.Algorithm{s.byDefault}) {
			t.Errorf("a key of %s serves %v by default, want %s", s.kind, got, s.byDefault)
		}
	}
}

func TestAlgorithm_NoKeyFitsThatIsNone(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, _ := mint.SharedKey(token.RS256)
	for name, key := range map[string]any{
		"nil": nil, "an empty secret": []byte{}, "a nil RSA key": (*rsa.PublicKey)(nil), "an empty RSA key": &rsa.PublicKey{},
		"a nil EC key": (*ecdsa.PublicKey)(nil), "an empty EC key": &ecdsa.PublicKey{},
		"P-224":               &p224.PublicKey,
		"a short Ed25519 key": ed25519.PublicKey("short"), "a string": "secret", "a private key": private,
		"an RSA key by value": rsa.PublicKey{},
	} {
		for _, alg := range token.Algorithms() {
			if alg.Fits(key) == nil {
				t.Errorf("%s fits %s", name, alg)
			}
			if token.NewVerifier(key).Verify(alg, []byte("a.b"), make([]byte, 64)) == nil {
				t.Errorf("%s verifies %s", name, alg)
			}
		}
		if got := token.DefaultAlgorithms(key); got != nil {
			t.Errorf("%s serves %v by default", name, got)
		}
	}
	_, secret := mint.SharedKey(token.HS256)
	for _, alg := range []token.Algorithm{"", "none", "HS256 ", "hs256"} {
		if alg.Fits(secret) == nil || token.NewVerifier(secret).Verify(alg, []byte("a.b"), nil) == nil {
			t.Errorf("the algorithm %q takes a secret", alg)
		}
	}
}

func TestParseAlgorithm_KnowsTheListAndNothingElse(t *testing.T) {
	for _, alg := range token.Algorithms() {
		if got, ok := token.ParseAlgorithm(string(alg)); !ok || got != alg {
			t.Errorf("ParseAlgorithm(%s) = %q, %t", alg, got, ok)
		}
		if alg.Symmetric() != strings.HasPrefix(string(alg), "HS") {
			t.Errorf("%s.Symmetric() = %t", alg, alg.Symmetric())
		}
	}
	for _, name := range []string{"", "none", "None", "hs256", "HS256 ", "HS1", "ES256K", "RSA-OAEP", "A256KW", "dir", "Ed25519", "HS256\x00"} {
		if got, ok := token.ParseAlgorithm(name); ok || got != "" {
			t.Errorf("ParseAlgorithm(%q) = %q, %t", name, got, ok)
		}
	}
}

func TestVerify_TakesWhatMintSigns(t *testing.T) {
	for _, alg := range token.Algorithms() {
		raw, public := small(t, alg)
		parsed, problem := token.Parse(raw, token.Limits{})
		if problem != nil {
			t.Fatal(problem)
		}
		if err := token.NewVerifier(public).Verify(alg, parsed.SigningInput, parsed.Signature); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestVerify_ErrorTellsNothingOfTheToken(t *testing.T) {
	for _, alg := range token.Algorithms() {
		_, public := mint.SharedKey(alg)
		err := token.NewVerifier(public).Verify(alg, []byte("header.payload"), []byte("signature"))
		if err == nil || strings.Contains(err.Error(), "payload") || errors.Unwrap(err) != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}
