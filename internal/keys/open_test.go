package keys

import (
	"crypto/rsa"
	"math/big"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/token"
)

func TestOpen_SaysWhereWhatAndWhatToDo(t *testing.T) {
	weak := publicPEM(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537})
	dir := t.TempDir()
	file := func(name, content string) string { return write(t, filepath.Join(dir, name), content) }
	for name, c := range map[string]struct {
		source config.KeySource
		want   []string
	}{
		"a short secret":       {config.KeySource{Secret: "hunter2"}, []string{"secret", "7 bytes", "allow_short_secret"}},
		"a short secret file":  {config.KeySource{SecretFile: file("short", "hunter2\n")}, []string{"secret_file " + dir, "7 bytes", "allow_short_secret"}},
		"an empty environment": {config.KeySource{SecretEnv: "APP_SECRET"}, []string{"secret_env APP_SECRET", "empty"}},
		"no file":              {config.KeySource{SecretFile: dir + "/none"}, []string{"secret_file " + dir + "/none: no such file"}},
		"a folder":             {config.KeySource{PEM: dir}, []string{"pem " + dir, "no regular file"}},
		"a private PEM":        {config.KeySource{PEM: file("app.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}, []string{"pem " + dir, "openssl pkey -in " + dir + "/app.pem -pubout"}},
		"a weak RSA key":       {config.KeySource{PEM: file("weak.pem", weak)}, []string{"1024 bits", "2048"}},
		"no key set":           {config.KeySource{JWKS: file("keys.json", "<html>")}, []string{"jwks " + dir, `{"keys"`}},
		"a key set without":    {config.KeySource{JWKS: file("none.json", `{"keys":[]}`)}, []string{"no key"}},
		"plain http":           {config.KeySource{JWKSURL: "http://user:hunter2@keys.example.com/jwks"}, []string{"jwks_url", "allow_http: true"}},
		"no scheme":            {config.KeySource{ASAPURL: "keys.example.com"}, []string{"asap_url", "https"}},
		"certificates by ftp":  {config.KeySource{CertsURL: "ftp://keys.example.com"}, []string{"certs_url", "https"}},
		"nothing":              {config.KeySource{Kid: "a"}, []string{"0 sources"}},
		"two at once":          {config.KeySource{Secret: secretA, JWKSURL: "https://keys.example.com"}, []string{"2 sources"}},
		"kid beside a set":     {config.KeySource{JWKSURL: "https://keys.example.com", Kid: "a"}, []string{`kid "a"`, "take it away"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.source.Where = "usher.yaml:31"
			r, err := Open(t.Context(), []config.KeySource{{Secret: secretA}, c.source}, Options{})
			if err == nil {
				r.Close()
				t.Fatal("it was taken")
			}
			text := err.Error()
			for _, want := range append(c.want, "usher.yaml:31: ") {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in: %s", want, text)
				}
			}
			if strings.Contains(text, "hunter2") || strings.Contains(text, "\n") {
				t.Errorf("got %s", text)
			}
		})
	}
}

func TestOpen_TheNamedOverridesHold(t *testing.T) {
	r, err := Open(t.Context(), []config.KeySource{{Secret: "short"}, {JWKSURL: "http://keys.invalid/"}}, Options{AllowShortSecret: true, AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

func TestOpen_TakesEverySourceThatIsAFile(t *testing.T) {
	t.Setenv("APP_SECRET", "not read here")
	ed := newEd25519()
	certs := `{"c":` + quoted(publicPEM(oneRSA())) + `}`
	r := ring(t,
		config.KeySource{Secret: secretA, SecretEnv: "APP_SECRET", Kid: "env"},
		config.KeySource{SecretFile: fileWith(t, secretB+"\n"), Kid: "file"},
		config.KeySource{PEM: fileWith(t, publicPEM(ed)), Kid: "pem"},
		config.KeySource{JWKS: fileWith(t, jwks(member([]byte(secretA+"x"), "kid", "oct")))},
		config.KeySource{CertsURL: "file://" + fileWith(t, certs)},
	)
	for kid, alg := range map[string]token.Algorithm{"env": token.HS256, "file": token.HS256, "pem": token.EdDSA, "oct": token.HS256, "c": token.RS256} {
		expect(t, r, kid, alg, kid)
	}
	if k, _ := r.Find(t.Context(), "file", true, token.HS256, time.Now(), nobody); string(k.Material.([]byte)) != secretB {
		t.Error("the newline is part of the secret")
	}
}

func quoted(text string) string { return `"` + strings.ReplaceAll(text, "\n", `\n`) + `"` }

func TestOpen_AURLNeverBringsSecretsNotEvenAFileURL(t *testing.T) {
	set := jwks(member([]byte(secretA), "kid", "oct"), member(newEd25519(), "kid", "ed"))
	server := newKeyServer(t, answer(set))
	r := ring(t,
		config.KeySource{JWKSURL: server.URL},
		config.KeySource{JWKSURL: "file://" + fileWith(t, set)},
	)
	r.Settle(t.Context())
	expect(t, r, "oct", token.HS256, notFoundCode)
	expect(t, r, "ed", token.EdDSA, "ed")
	if text := errorsOf(r); strings.Count(text, `key "oct" is left out: it is a shared secret`) != 2 {
		t.Errorf("got %s", text)
	}
}

func TestList_ShowsEveryKeyAndNoMaterial(t *testing.T) {
	end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	opened := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var passed atomic.Int64
	r, err := Open(t.Context(), []config.KeySource{
		{Secret: secretA, Kid: "a", NotAfter: end, Where: "usher.yaml:3"},
		{PEM: fileWith(t, publicPEM(oneRSA())), Where: "usher.yaml:4"},
		{ASAPURL: "https://user:hunter2@keys.invalid/asap?hunter2", Where: "usher.yaml:5"},
	}, Options{Now: func() time.Time { return opened.Add(time.Duration(passed.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	passed.Store(int64(time.Hour))
	list := r.List()
	if len(list) != 3 {
		t.Fatalf("got %v", list)
	}
	a, b, c := list[0], list[1], list[2]
	if a.Kid != "a" || a.ID != "a" || a.Type != "secret" || a.Bits != 8*len(secretA) || a.Where != "usher.yaml:3" || !a.NotAfter.Equal(end) || a.Age != time.Hour || !a.FetchedAt.Equal(opened) {
		t.Errorf("got %+v", a)
	}
	if b.Kid != "" || len(b.ID) != 43 || b.Type != "RSA" || b.Bits != 2048 || !strings.HasPrefix(b.Source, "file /") {
		t.Errorf("got %+v", b)
	}
	if c.Type != "" || c.Source != "url https://keys.invalid/asap" || c.Where != "usher.yaml:5" {
		t.Errorf("got %+v", c)
	}
}

func TestClose_StopsAllAndKeysThatAreKnownStayUsable(t *testing.T) {
	server := newKeyServer(t, answer(jwks(member(newEd25519(), "kid", "ed"))))
	r, err := Open(t.Context(), []config.KeySource{{JWKSURL: server.URL}, {ASAPURL: server.URL}, {Secret: secretA, Kid: "a"}, {PEM: fileWith(t, publicPEM(oneRSA())), Kid: "r"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.Settle(t.Context())
	r.Close()
	expect(t, r, "a", token.HS256, "a")
	expect(t, r, "ed", token.EdDSA, "ed")
	expect(t, r, "new", token.EdDSA, unavailableCode)
}
