package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/redisconn/redistest"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

// rights are those that docs/revocation.md gives to usher's ACL user. A server refuses the whole line for one command that
// it does not know.
func rights(t *testing.T) []any {
	t.Helper()
	text, err := os.ReadFile("../../../docs/revocation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, line, found := strings.Cut(string(text), "\nuser usher on >PASSWORD ")
	line, _, _ = strings.Cut(line, "\n")
	if !found {
		t.Fatal("docs/revocation.md has no ACL line any more")
	}
	return fields(line)
}

func TestConnection_AsACLUserWithPasswordFromFile(t *testing.T) {
	password := rand.Text()
	server := redistest.Serve(t)
	args := append([]any{"ACL", "SETUSER", "usher", "on", ">" + password}, rights(t)...)
	if err := redistest.Direct(t, server).Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	if err := redistest.Direct(t, server).Do(t.Context(), "ACL", "SETUSER", "default", "off").Err(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, []byte(password+"\n"))
	c := config.Redis{URL: server.URL(), Username: "usher", PasswordFile: file, Prefix: "usher:"}
	l := storetest.Ledger(t, redisstore.Open(redistest.Connect(t, c), few))
	w, err := l.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "a")})
	if err != nil || !w.Replicated || !storetest.Denies(t, l, "a", revocation.Rules{Strict: true}) {
		t.Fatalf("as a restricted user: %+v, %v", w, err)
	}
	if _, err := l.Claim(t.Context(), "app", "a", "session", "", time.Minute, time.Now().Add(time.Hour)); err != nil {
		t.Fatalf("claim as a restricted user: %v", err)
	}
	// A password that changed on disk is taken by the next connection.
	write(t, file, []byte("wrong"))
	store := redisstore.Open(redistest.Connect(t, c), few)
	_, err = store.List(t.Context(), revocation.Query{})
	if err == nil || strings.Contains(err.Error(), password) {
		t.Fatalf("with a wrong password: %v", err)
	}
}

func fields(s string) (all []any) {
	for _, f := range strings.Fields(s) {
		all = append(all, f)
	}
	return all
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConnection_OverTLSWithClientCertificate(t *testing.T) {
	dir := t.TempDir()
	ca, caKey := certificate(t, nil, nil)
	keep(t, dir, "ca", ca, caKey)
	for _, name := range []string{"server", "client"} {
		cert, key := certificate(t, ca, caKey)
		keep(t, dir, name, cert, key)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	ports, err := proc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	port := ports[0]
	redistest.Serve(t, "--port", "0", "--tls-port", fmt.Sprint(port), "--tls-auth-clients", "yes", "--tls-ca-cert-file", in("ca.crt"),
		"--tls-cert-file", in("server.crt"), "--tls-key-file", in("server.key"))
	c := config.Redis{URL: fmt.Sprintf("rediss://127.0.0.1:%d/0", port), Prefix: "usher:",
		TLS: config.RedisTLS{Enabled: true, CA: in("ca.crt"), Cert: in("client.crt"), Key: in("client.key")}}
	l := storetest.Ledger(t, redisstore.Open(redistest.Connect(t, c), few))
	if _, err := l.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "a")}); err != nil {
		t.Fatal(err)
	}
	c.TLS = config.RedisTLS{Enabled: true, Cert: in("client.crt"), Key: in("client.key")}
	if _, err := redisstore.Open(redistest.Connect(t, c), few).List(t.Context(), revocation.Query{}); err == nil {
		t.Fatal("a server whose authority is not trusted was talked to")
	}
	c.TLS = config.RedisTLS{Enabled: true, CA: in("client.key")}
	if _, err := redisconn.Open(&c); err == nil {
		t.Fatal("a key was taken for an authority")
	}
}

func certificate(t *testing.T, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: rand.Text()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: issuer == nil,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if issuer == nil {
		issuer, issuerKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

func keep(t *testing.T, dir, name string, cert *x509.Certificate, key *ecdsa.PrivateKey) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	write(t, filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
