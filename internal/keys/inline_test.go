package keys

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/token"
)

// docker-jitsi-meet has the public key itself in JWT_APP_SECRET, not a file's name.
func TestOpen_APEMMayBeWrittenInPlace(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	written := func(kind string, der []byte, err error) config.KeySource {
		if err != nil {
			t.Fatal(err)
		}
		return config.KeySource{PEM: string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), Where: "JWT_APP_SECRET"}
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	ring, err := Open(context.Background(), []config.KeySource{written("PUBLIC KEY", der, err)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	if _, problem := ring.Find(context.Background(), "", false, token.Algorithm("EdDSA"), time.Now(), nobody); problem != nil {
		t.Error(problem)
	}
	der, err = x509.MarshalPKCS8PrivateKey(private)
	if _, err := Open(context.Background(), []config.KeySource{written("PRIVATE KEY", der, err)}, Options{}); err == nil || !strings.Contains(err.Error(), "openssl pkey") {
		t.Errorf("a private key was taken, or the remedy is missing: %v", err)
	}
}
