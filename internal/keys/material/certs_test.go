package material

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCertificates_GiveEachKidItsKey(t *testing.T) {
	data, _ := json.Marshal(object{
		"b": certificate(t, rsa2048()), "a": publicPEM(t, &ec256().PublicKey),
		"weak": "-----BEGIN", "wrong": 7, "private": pkcs8(t, edKey()),
	})
	keys, left, err := Certificates(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys[0].Kid != "a" || keys[1].Kid != "b" || Type(keys[1].Value) != "RSA" {
		t.Errorf("got %v", keys)
	}
	if text := strings.Join(texts(left, nil), " "); len(left) != 3 || !strings.Contains(text, `key "private" is left out: it is a private key`) {
		t.Errorf("got %v", left)
	}
}

func TestCertificates_WithoutAnyUsableKeyAreAnError(t *testing.T) {
	for _, data := range []string{``, `[]`, `null`, `{}`, `"x"`, `{"a":"b"}`, `{"a":`, `{"keys":[]}`} {
		if _, _, err := Certificates([]byte(data)); err == nil {
			t.Errorf("%s was taken", data)
		}
	}
}
