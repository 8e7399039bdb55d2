package material

import (
	"crypto/ed25519"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
)

func TestEd25519_AKeyThatAnybodyCouldSignForIsRefused(t *testing.T) {
	for _, text := range smallOrder {
		key, err := hex.DecodeString(text)
		if err != nil || len(key) != ed25519.PublicKeySize {
			t.Fatalf("%s: %v", text, err)
		}
		// The neutral point and zero: nothing in it comes from a key.
		signature := append([]byte{1}, make([]byte, ed25519.SignatureSize-1)...)
		good := 0
		for n := range 256 {
			if ed25519.Verify(key, []byte(strconv.Itoa(n)), signature) {
				good++
			}
		}
		if good == 0 {
			t.Errorf("%s is good for no message, so it is no such key", text)
		}
		for _, sign := range []byte{0, 0x80} {
			key[31] = key[31]&0x7f | sign
			if _, err := public(ed25519.PublicKey(key)); err == nil || !strings.Contains(err.Error(), "anybody could sign") {
				t.Errorf("%x: %v", key, err)
			}
		}
	}
	if _, err := public(edKey().Public()); err != nil {
		t.Errorf("a good key: %v", err)
	}
}
