package main

import (
	"fmt"
	"net"
	"testing"

	"github.com/usher-im/usher/internal/config"
)

// silent takes connections and never answers.
func silent(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr()
}

// What is not waited for to its end is passed over: nothing would be said of a key server that is away.
func TestSettle_HearsOfEachKeyServerThatIsSilent(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{Profiles: map[string]*config.Profile{"default": {}}}
	for n := range 3 {
		source := func() config.KeySource { return config.KeySource{JWKSURL: fmt.Sprintf("http://%s/jwks", silent(t))} }
		cfg.Profiles["default"].Issuers = append(cfg.Profiles["default"].Issuers,
			&config.Issuer{Iss: fmt.Sprint("app-", n), Keys: []config.KeySource{source(), source()}, Audiences: []string{"jitsi"}})
	}
	r, err := openRules(cfg, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	r.settle(t.Context())
	rows := r.list()
	for _, row := range rows {
		if row.LastError == "" {
			t.Errorf("nothing is said of %s", row.Source)
		}
	}
	if len(rows) != 6 {
		t.Errorf("%+v", rows)
	}
}
