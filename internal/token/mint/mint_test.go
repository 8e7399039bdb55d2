package mint_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

func TestToken_IsTakenByTheVerifierForEveryAlgorithmAndFormOfKey(t *testing.T) {
	for _, alg := range token.Algorithms() {
		private, public := mint.SharedKey(alg)
		forms := []any{private}
		if secret, ok := private.([]byte); ok {
			forms = append(forms, string(secret))
		} else {
			pem, err := mint.PrivatePEM(private)
			if err != nil {
				t.Fatal(err)
			}
			forms = append(forms, pem, string(pem))
		}
		for _, key := range forms {
			raw, err := mint.Token(mint.Spec{Alg: alg, Key: key, Kid: "2026-a", Claims: map[string]any{"iss": "my-app"}})
			if err != nil {
				t.Errorf("%s with %T: %v", alg, key, err)
				continue
			}
			parsed, problem := token.Parse(raw, token.Limits{})
			if problem != nil {
				t.Fatal(problem)
			}
			if want := (token.Header{Alg: string(alg), Kid: "2026-a", HasKid: true, Typ: "JWT"}); parsed.Header != want {
				t.Errorf("header %+v", parsed.Header)
			}
			if err := token.NewVerifier(public).Verify(alg, parsed.SigningInput, parsed.Signature); err != nil {
				t.Errorf("%s with %T: %v", alg, key, err)
			}
		}
	}
}

func TestToken_HeaderIsOverriddenWithoutChangingTheSignature(t *testing.T) {
	private, public := mint.SharedKey(token.HS256)
	raw, err := mint.Token(mint.Spec{Alg: token.HS256, Key: private, Kid: "a",
		Header: map[string]any{"alg": "none", "kid": nil, "typ": nil, "x": 1}})
	if err != nil {
		t.Fatal(err)
	}
	parsed, problem := token.Parse(raw, token.Limits{})
	if problem != nil || parsed.Header != (token.Header{Alg: "none"}) || string(parsed.Claims.Raw) != "{}" {
		t.Errorf("%+v, %v", parsed, problem)
	}
	if err := token.NewVerifier(public).Verify(token.HS256, parsed.SigningInput, parsed.Signature); err != nil {
		t.Error(err)
	}
}

func TestSign_RefusesKeysThatDoNotFit(t *testing.T) {
	rsa, _ := mint.SharedKey(token.RS256)
	_, public := mint.SharedKey(token.ES256)
	publicPEM, err := mint.PublicPEM(public)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		alg token.Algorithm
		key any
	}{
		"a secret for RS256": {token.RS256, "top-secret"}, "an RSA key for ES256": {token.ES256, rsa},
		"a public key": {token.ES256, publicPEM}, "an RSA key for HS256": {token.HS256, rsa}, "nothing": {token.HS256, nil},
		"an empty secret": {token.HS256, ""}, "no algorithm": {"none", "top-secret"},
		"an encrypted key": {token.RS256, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"},
		"a broken key":     {token.RS256, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
	} {
		_, err := mint.Sign(c.alg, c.key, []byte("a.b"))
		if err == nil || strings.Contains(err.Error(), "top-secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKey_IsNewEachTimeAndSharedKeyIsNot(t *testing.T) {
	a, _ := mint.Key(token.EdDSA)
	b, _ := mint.Key(token.EdDSA)
	if reflect.DeepEqual(a, b) {
		t.Error("Key gave the same key twice")
	}
	c, _ := mint.SharedKey(token.EdDSA)
	d, _ := mint.SharedKey(token.EdDSA)
	if !reflect.DeepEqual(c, d) {
		t.Error("SharedKey gave two keys")
	}
}

func TestSet_FollowsPaths(t *testing.T) {
	claims := map[string]any{"iss": "my-app"}
	for _, c := range []struct {
		path  string
		value any
	}{{"context.user.id", "u"}, {"context.user.moderator", true}, {"room", []string{"a"}}, {`https://example\.com/role`, "x"}} {
		if err := mint.Set(claims, c.path, c.value); err != nil {
			t.Error(err)
		}
	}
	got, err := json.Marshal(claims)
	const want = `{"context":{"user":{"id":"u","moderator":true}},"https://example.com/role":"x","iss":"my-app","room":["a"]}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	for _, path := range []string{"", ".", "context.", "iss.x", "context.user.id.x"} {
		if mint.Set(claims, path, 1) == nil {
			t.Errorf("%q was set", path)
		}
	}
}
