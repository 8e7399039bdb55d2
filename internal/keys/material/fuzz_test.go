package material

import (
	"encoding/json"
	"testing"

	"github.com/usher-im/usher/internal/token"
)

// What a key server sends is read outside of any request, so nothing in it may panic, and nothing unsound may come out.
func FuzzJWKS(f *testing.F) {
	f.Add(jwks(rsaJWK(modulus(2048)).with("kid", "r").with("use", "sig"), ecJWK(ec256(), "P-256"), edJWK(), octJWK("secret")))
	f.Add(jwks(edJWK().with("x5c", []string{"AA=="}).with("key_ops", []string{"verify"}), edJWK().with("d", "AA")))
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, left, err := JWKS(data, SetRules{})
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys with error %v", len(keys), err)
		}
		if len(keys)+len(left) > most {
			t.Fatalf("%d keys", len(keys)+len(left))
		}
		judge(t, keys)
	})
}

func FuzzCertificates(f *testing.F) {
	der := `-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n`
	f.Add([]byte(`{"a":"` + der + `","b":7}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, _, err := Certificates(data)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys with error %v", len(keys), err)
		}
		judge(t, keys)
	})
}

func judge(t *testing.T, keys []Key) {
	t.Helper()
	for _, k := range keys {
		if err := sound(k.Value); err != nil {
			t.Fatalf("an unsound key came out: %v", err)
		}
		if len(token.DefaultAlgorithms(k.Value)) == 0 || k.Thumbprint == "" || Type(k.Value) == "" {
			t.Fatalf("a key that serves nothing came out: %T", k.Value)
		}
		if _, err := json.Marshal(k.Kid); err != nil {
			t.Fatal(err)
		}
	}
}
