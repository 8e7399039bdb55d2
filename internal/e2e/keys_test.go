package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

func TestKeys_EveryAlgorithmOpensARoom(t *testing.T) {
	var sources []string
	for _, alg := range token.Algorithms() {
		_, public := mint.SharedKey(alg)
		if alg.Symmetric() {
			sources = append(sources, fmt.Sprintf("{secret: %q, kid: %s}", e2e.Secret, alg))
			continue
		}
		text, err := mint.PublicPEM(public)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, fmt.Sprintf("{pem: %q, kid: %s}", text, alg))
	}
	profiles := fmt.Sprintf(`  default:
    domain: meet.example.com
    rooms: {create: allow}
    issuers: [{iss: my-app, audiences: [jitsi], algorithms: %s, keys: [%s]}]
`, strings.ReplaceAll(fmt.Sprintf("%q", token.Algorithms()), `" "`, `", "`), strings.Join(sources, ", "))
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{Profiles: profiles})
		for i, alg := range token.Algorithms() {
			private, _ := mint.SharedKey(alg)
			if alg.Symmetric() {
				private = []byte(e2e.Secret)
			}
			raw := e2e.SignedToken(t, mint.Spec{Alg: alg, Key: private, Kid: string(alg)}, e2e.Claims{"room": string(alg)})
			v := s.Login(t, e2e.Who{Via: browserTransports[i%2], Token: raw})
			v.MustJoin(string(alg), "me")
			v.MustBeRefused("other", "me")
			// The key of another algorithm, by its kid, does not serve.
			other := token.Algorithms()[(i+3)%len(token.Algorithms())]
			wrong := e2e.SignedToken(t, mint.Spec{Alg: alg, Key: private, Kid: string(other)}, nil)
			if refused := s.MustRefuseLogin(t, e2e.Who{Token: wrong}); refused.Condition != "not-allowed" {
				t.Errorf("%s under the kid of %s was refused with <%s/>", alg, other, refused.Condition)
			}
		}
	})
}

// keyHouse serves the public keys of some kids in each of the forms that a key server may have.
type keyHouse struct {
	*httptest.Server
	mu   sync.Mutex
	keys map[string]*rsa.PrivateKey
	down bool
}

func openKeyHouse(t *testing.T, kids ...string) *keyHouse {
	t.Helper()
	h := &keyHouse{keys: map[string]*rsa.PrivateKey{}}
	for _, kid := range kids {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		h.keys[kid] = key
	}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.Close)
	return h
}

// without takes a key away; the whole house goes down where no kid is named.
func (h *keyHouse) without(kid string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.keys, kid)
	h.down = kid == ""
}

func (h *keyHouse) serve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	set, certificates := []map[string]string{}, map[string]string{}
	for kid, key := range h.keys {
		set = append(set, map[string]string{"kty": "RSA", "kid": kid, "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes())})
		certificates[kid] = certificateOf(key)
		sum := sha256.Sum256([]byte(kid))
		if r.URL.Path == "/asap/"+hex.EncodeToString(sum[:])+".pem" {
			public, _ := mint.PublicPEM(&key.PublicKey)
			_, _ = w.Write(public)
			return
		}
	}
	switch r.URL.Path {
	case "/jwks":
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
	case "/certs":
		_ = json.NewEncoder(w).Encode(certificates)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func certificateOf(key *rsa.PrivateKey) string {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err.Error()
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func fromSource(source string) string {
	return `  default:
    domain: meet.example.com
    rooms: {create: allow}
    issuers: [{iss: my-app, audiences: [jitsi], keys: [{` + source + `}]}]
`
}

func TestKeys_OfAServerServeUntilTheyAreTakenAway(t *testing.T) {
	sources := map[string]struct{ path, gone string }{ // gone: what the log says when a key has been taken away
		"jwks_url": {"/jwks", "Keys were fetched"}, "certs_url": {"/certs", "Keys were fetched"}, "asap_url": {"/asap/", "taken away"},
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		for source, c := range sources {
			house := openKeyHouse(t, "a", "b")
			by := map[string]string{}
			for kid, key := range house.keys {
				by[kid] = e2e.SignedToken(t, mint.Spec{Alg: token.RS256, Key: key, Kid: kid}, nil)
			}
			s := e2e.Start(t, release, e2e.Setup{Profiles: fromSource(source + `: "` + house.URL + c.path + `"`)})
			alice, bob := s.Login(t, e2e.Who{Token: by["a"]}), s.Login(t, e2e.Who{Token: by["b"]})
			alice.MustJoin("daily", "alice")

			house.without("a")
			mustReload(t, s, c.gone)
			bob.MustJoin("daily", "bob")
			mustSay(t, s.MustRefuseLogin(t, e2e.Who{Token: by["a"]}).Text, reason.KeyNotFound)
			// Whoever is in already is asked about again at the next room, whatever its grant was.
			mustSay(t, alice.MustBeRefused("weekly", "alice").Text, reason.KeyNotFound)

			// A server that goes down takes no key with it, not even through a reload.
			house.without("")
			mustReload(t, s, "fails")
			s.Login(t, e2e.Who{Token: by["b"]}).MustJoin("daily", "again")
		}
	})
}

// mustReload lets the verifier take up its config anew, which asks key servers at once, and waits for a line that says
// what came of it.
func mustReload(t *testing.T, s *e2e.Stack, line string) {
	t.Helper()
	mark := s.Verifier.Log.Mark()
	if err := s.Verifier.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"the new config is in force", line} {
		if _, err := s.Verifier.Log.WaitAfter(e2e.Context(t), mark, line); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeys_AKeyThatLeavesItsFileServesNoMore(t *testing.T) {
	house := openKeyHouse(t, "a", "b")
	write := func(file string, kids ...string) {
		var set []map[string]string
		for _, kid := range kids {
			set = append(set, map[string]string{"kty": "RSA", "kid": kid, "e": "AQAB",
				"n": base64.RawURLEncoding.EncodeToString(house.keys[kid].N.Bytes())})
		}
		text, err := json.Marshal(map[string]any{"keys": set})
		if err == nil {
			err = os.WriteFile(file+".new", text, 0o644)
		}
		if err == nil {
			err = os.Rename(file+".new", file)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	by := func(kid string) string {
		return e2e.SignedToken(t, mint.Spec{Alg: token.RS256, Key: house.keys[kid], Kid: kid}, nil)
	}
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "keys.json")
		write(file, "a")
		s := e2e.Start(t, release, e2e.Setup{Profiles: fromSource("jwks: " + file)})
		alice := s.Login(t, e2e.Who{Token: by("a")})
		alice.MustJoin("daily", "alice")
		mark := s.Verifier.Log.Mark()
		write(file, "b")
		if _, err := s.Verifier.Log.WaitAfter(e2e.Context(t), mark, "Keys were reloaded"); err != nil {
			t.Fatal(err)
		}
		s.Login(t, e2e.Who{Token: by("b")}).MustJoin("daily", "bob")
		mustSay(t, s.MustRefuseLogin(t, e2e.Who{Token: by("a")}).Text, reason.KeyNotFound)
		mustSay(t, alice.MustBeRefused("weekly", "alice").Text, reason.KeyNotFound)
	})
}

func TestReload_TakesUpAGoodConfigAndRefusesABadOne(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		old, err := os.ReadFile(s.Verifier.ConfigFile)
		if err != nil {
			t.Fatal(err)
		}
		write := func(text string) {
			if err := os.WriteFile(s.Verifier.ConfigFile, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		inside := s.Login(t, e2e.Who{Token: e2e.Token(t, nil)})
		inside.MustJoin("daily", "inside")

		write(strings.Replace(string(old), "audiences: [jitsi]", "audiences: [meetings]", 1))
		mustReload(t, s, "in force")
		mustSay(t, s.MustRefuseLogin(t, e2e.Who{Token: e2e.Token(t, nil)}).Text, reason.AudienceNotAllowed)
		mustSay(t, inside.MustBeRefused("weekly", "inside").Text, reason.AudienceNotAllowed)
		s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"aud": "meetings"})}).MustJoin("daily", "newcomer")

		mark := s.Verifier.Log.Mark()
		write(strings.Replace(string(old), "audiences", "audience", 1))
		if err := s.Verifier.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		line, err := s.Verifier.Log.WaitAfter(e2e.Context(t), mark, "the old one stays")
		if err != nil || !strings.Contains(line, "usher.yaml:") {
			t.Errorf("a bad config was answered with %q, %v", line, err)
		}
		s.Login(t, e2e.Who{Token: e2e.Token(t, e2e.Claims{"aud": "meetings"})}).MustJoin("daily", "another")
	})
}
