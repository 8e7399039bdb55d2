package material

import (
	"crypto/elliptic"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/token"
)

func TestJWKS_OneBadKeyDoesNotSpoilTheSet(t *testing.T) {
	good := ecJWK(ec256(), "P-256").with("kid", "good")
	for name, c := range map[string]struct {
		bad  any
		want string // in what is said of it; empty: it is passed over
	}{
		"no object":               {7, "key 2 is left out: it cannot be read"},
		"no kty":                  {object{}, "key 2 is left out"},
		"kty unknown":             {object{"kty": "AKP", "kid": "bad"}, `key "bad" is left out: it cannot be read`},
		"kid is a number":         {edJWK().with("kid", 7), "cannot be read"},
		"n missing":               {object{"kty": "RSA", "e": "AQAB", "kid": "bad"}, "bad"},
		"RSA of 1024":             {rsaJWK(modulus(1024)).with("kid", "bad"), `key "bad" is left out: it is an RSA key of 1024 bits`},
		"RSA of 16385":            {rsaJWK(modulus(16385)), "takes too long"},
		"RSA exponent 1":          {rsaJWK(modulus(2048)).with("e", "AQ"), "no valid RSA key"},
		"a point off its curve":   {ecJWK(ec256(), "P-256").with("x", b64(make([]byte, 32))), "left out"},
		"a curve that has no alg": {object{"kty": "OKP", "crv": "X25519", "x": b64(make([]byte, 32))}, "verifies no token"},
		"secp256k1":               {ecJWK(ec256(), "secp256k1"), "left out"},
		"Ed25519 of 31 bytes":     {edJWK().with("x", b64(make([]byte, 31))), "left out"},
		"a secret":                {octJWK(strings.Repeat("x", 40)).with("kid", "bad"), "never taken from a URL"},
		"private":                 {edJWK().with("d", b64(edKey().Seed())), "private key"},
		"private, d null":         {edJWK().with("d", nil), "left out"},
		"key_ops without verify":  {edJWK().with("key_ops", []string{"encrypt"}), "key_ops"},
		"key_ops of another type": {edJWK().with("key_ops", 7), "cannot be read"},
		"for encryption":          {rsaJWK(modulus(2048)).with("use", "enc"), ""},
		"for RSA-OAEP":            {rsaJWK(modulus(2048)).with("alg", "RSA-OAEP"), ""},
		"use unknown":             {edJWK().with("use", "tls"), `"tls"`},
		"alg unknown":             {edJWK().with("alg", "none"), `"none"`},
		"alg of another curve":    {ecJWK(ec256(), "P-256").with("alg", "ES384"), "does not fit"},
		"alg of another type":     {edJWK().with("alg", "HS256"), "does not fit"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, left, err := JWKS(jwks(good, c.bad), SetRules{})
			if err != nil || len(keys) != 1 || keys[0].Kid != "good" {
				t.Fatalf("got %v, %v", keys, err)
			}
			if c.want == "" && len(left) > 0 || c.want != "" && (len(left) != 1 || !strings.Contains(left[0].Error(), c.want)) {
				t.Errorf("got %v, want %q", left, c.want)
			}
		})
	}
}

func TestJWKS_WithoutAnyUsableKeyIsAnError(t *testing.T) {
	for name, data := range map[string]string{
		"empty":             ``,
		"no JSON":           `<html>`,
		"array":             `[]`,
		"null":              `null`,
		"no keys":           `{}`,
		"keys null":         `{"keys":null}`,
		"keys empty":        `{"keys":[]}`,
		"keys no array":     `{"keys":{}}`,
		"cut":               `{"keys":[{"kty":"OKP"`,
		"something after":   `{"keys":[]} {"keys":[]}`,
		"only bad ones":     string(jwks(object{"kty": "RSA"})),
		"only encryption":   string(jwks(rsaJWK(modulus(2048)).with("use", "enc"))),
		"a secret by a URL": string(jwks(octJWK(strings.Repeat("x", 40)))),
		"1001 keys":         `{"keys":[` + strings.Repeat(`{},`, 1000) + `{}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if keys, _, err := JWKS([]byte(data), SetRules{}); err == nil {
				t.Errorf("got %v", keys)
			}
		})
	}
}

func TestJWKS_KeepsWhatAKeySaysOfItself(t *testing.T) {
	keys, left, err := JWKS(jwks(
		rsaJWK(rsa2048().N).with("kid", "r").with("alg", "PS256").with("use", "sig"),
		ecJWK(makeEC(elliptic.P521()), "P-521").with("kid", "e").with("key_ops", []string{"verify"}),
		edJWK(),
	), SetRules{})
	if err != nil || len(left) > 0 {
		t.Fatal(err, left)
	}
	if k := keys[0]; k.Kid != "r" || k.Alg != token.PS256 || Type(k.Value) != "RSA" {
		t.Errorf("RSA: %s, %s, %s", k.Kid, k.Alg, Type(k.Value))
	}
	if k := keys[1]; k.Kid != "e" || k.Alg != "" || Curve(k.Value) != "P-521" || Bits(k.Value) != 521 {
		t.Errorf("EC: %s, %s, %s", k.Kid, k.Alg, Curve(k.Value))
	}
	if k := keys[2]; k.Kid != "" || Curve(k.Value) != "Ed25519" || k.Thumbprint == "" {
		t.Errorf("Ed25519: %q, %s", k.Kid, Curve(k.Value))
	}
}

func TestJWKS_AFileMayBringSecretsOfEnoughLength(t *testing.T) {
	long, short := octJWK(strings.Repeat("x", 40)).with("kid", "long"), octJWK("short").with("kid", "short")
	keys, left, err := JWKS(jwks(long, short), SetRules{Secrets: true})
	if err != nil || len(keys) != 1 || keys[0].Kid != "long" || keys[0].Thumbprint != "" {
		t.Fatal(keys, err)
	}
	if len(left) != 1 || !strings.Contains(left[0].Error(), "allow_short_secret") {
		t.Errorf("got %v", left)
	}
	if keys, _, _ := JWKS(jwks(long, short), SetRules{Secrets: true, AllowShortSecret: true}); len(keys) != 2 {
		t.Errorf("with the override: %d keys", len(keys))
	}
}

func TestJWKS_ErrorsNeverQuoteAKey(t *testing.T) {
	const secret = "this-is-the-secret-that-nobody-may-read"
	for _, bad := range []object{
		octJWK(secret), octJWK(secret).with("k", secret), octJWK(secret).with("alg", "RS256"), octJWK(secret).with("kid", 7),
		edJWK().with("d", secret), octJWK("x").with("k", object{secret: 1}), object{"kty": secret, "k": secret},
	} {
		for _, secrets := range []bool{true, false} {
			_, left, err := JWKS(jwks(bad), SetRules{Secrets: secrets})
			if text := strings.Join(texts(left, err), " "); strings.Contains(text, secret) || strings.Contains(text, b64([]byte(secret))) {
				t.Errorf("%v: %s", bad, text)
			}
		}
	}
}

func texts(left []error, err error) []string {
	var all []string
	for _, e := range append(left, err) {
		if e != nil {
			all = append(all, e.Error())
		}
	}
	return all
}

func TestQuote_NamesFromOutsideAreEscapedAndCut(t *testing.T) {
	if got := Quote("a\x00\u202e\nb"); got != `"a\x00\u202e\nb"` {
		t.Errorf("got %s", got)
	}
	if got := Quote(strings.Repeat("k", 10_000)); len(got) > 80 {
		t.Errorf("got %d bytes", len(got))
	}
}
