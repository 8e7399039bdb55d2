package material

import (
	"strings"
	"testing"
)

func TestSecret_ShortOnesAreRefusedByNameOfTheOverride(t *testing.T) {
	_, err := Secret([]byte(strings.Repeat("x", 31)), false)
	if err == nil || !strings.Contains(err.Error(), "allow_short_secret") || !strings.Contains(err.Error(), "USHER_ALLOW_SHORT_SECRET=true") || strings.Contains(err.Error(), "xxx") {
		t.Errorf("got %v", err)
	}
	if _, err := Secret([]byte(strings.Repeat("x", 32)), false); err != nil {
		t.Errorf("32 bytes: %v", err)
	}
	if _, err := Secret([]byte("x"), true); err != nil {
		t.Errorf("with the override: %v", err)
	}
	if _, err := Secret(nil, true); err == nil {
		t.Error("an empty secret was taken")
	}
}

func TestSecret_IsNoKeyThatOthersMayHave(t *testing.T) {
	for name, text := range map[string]string{
		"public key": publicPEM(t, &ec256().PublicKey), "certificate": certificate(t, rsa2048()), "private key": pkcs8(t, edKey()),
		"public key after a line": "\n" + publicPEM(t, &rsa2048().PublicKey),
	} {
		if _, err := SecretFile([]byte(text), true); err == nil || !strings.Contains(err.Error(), "pem:") {
			t.Errorf("a %s as secret: got %v", name, err)
		}
	}
	if _, _, err := JWKS(jwks(octJWK(publicPEM(t, &ec256().PublicKey))), SetRules{Secrets: true}); err == nil {
		t.Error("a public key was taken as the secret of a JWK")
	}
}

func TestSecretFile_OneNewlineAtItsEndIsNotPartOfIt(t *testing.T) {
	for content, want := range map[string]string{"a\n": "a", "a\r\n": "a", "a\n\n": "a\n", "a": "a", "\na": "\na", "a\r": "a\r"} {
		k, err := SecretFile([]byte(content), true)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(k.Value.([]byte)); got != want {
			t.Errorf("%q gave %q, want %q", content, got, want)
		}
	}
	if _, err := SecretFile([]byte("\n"), true); err == nil {
		t.Error("a file with nothing but a newline was taken")
	}
}
