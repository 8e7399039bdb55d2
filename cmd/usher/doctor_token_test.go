package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-im/usher/internal/config"
)

// What the doctor signs with must be what serve checks with, however the file ends.
func TestDoctor_ReadsASecretFileAsServeDoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.secret")
	for content, want := range map[string]string{
		"a secret": "a secret", "a secret\n": "a secret", "a secret\r\n": "a secret", "a secret\n\n": "a secret\n", "a secret\r": "a secret\r",
		"": "", "\n": "",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := secretHere(config.KeySource{SecretFile: file}); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %t", content, got, ok)
		}
	}
	if _, ok := secretHere(config.KeySource{SecretFile: file + ".gone"}); ok {
		t.Error("a file that is not there was read")
	}
}
