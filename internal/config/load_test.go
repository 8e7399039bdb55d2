package config_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/usher-im/usher/internal/config"
)

// Each case of testdata/load is a folder in one file: usher.yaml (or none), env, further files that the config names,
// and what Load has to say: errors and warnings, a sentence a line. Files whose name begins with open- are readable by
// all, others by their owner.
func TestLoad_SaysEachMistakeInOneSentence(t *testing.T) {
	cases, err := filepath.Glob("testdata/load/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			whole, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			c := open(t, whole)
			_, warnings, err := config.Load(config.Options{Env: c.env, Search: []string{"./usher.yaml"}})
			var errors string
			if err != nil {
				errors = err.Error() + "\n"
			}
			var doubts strings.Builder
			for _, w := range warnings {
				doubts.WriteString(w.String() + "\n")
			}
			if flag.Lookup("update").Value.String() == "true" {
				c.write(t, whole, errors, doubts.String())
				return
			}
			if errors != c.errors {
				t.Errorf("errors:\n%swant:\n%s", errors, c.errors)
			}
			if doubts.String() != c.warnings {
				t.Errorf("warnings:\n%swant:\n%s", doubts.String(), c.warnings)
			}
			for _, secret := range c.secrets {
				if strings.Contains(errors+doubts.String(), secret) {
					t.Errorf("a secret is printed: %q", secret)
				}
			}
		})
	}
}

type testCase struct {
	archive          *txtar.Archive
	env, secrets     []string
	errors, warnings string
}

// open lays a case out in a folder of its own and goes there.
func open(t *testing.T, file string) *testCase {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	c := &testCase{archive: archive}
	for _, f := range archive.Files {
		text := string(f.Data)
		switch f.Name {
		case "env":
			c.env = lines(text)
		case "secrets": // values that must not be printed
			c.secrets = lines(text)
		case "errors":
			c.errors = text
		case "warnings":
			c.warnings = text
		default:
			mode := os.FileMode(0o600)
			if strings.HasPrefix(filepath.Base(f.Name), "open-") {
				mode = 0o644
			}
			if err := os.MkdirAll(filepath.Dir(f.Name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f.Name, f.Data, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

func (c *testCase) write(t *testing.T, file, errors, warnings string) {
	t.Helper()
	kept := slices.DeleteFunc(c.archive.Files, func(f txtar.File) bool { return f.Name == "errors" || f.Name == "warnings" })
	for name, text := range map[string]string{"errors": errors, "warnings": warnings} {
		if text != "" {
			kept = append(kept, txtar.File{Name: name, Data: []byte(text)})
		}
	}
	slices.SortStableFunc(kept, func(a, b txtar.File) int { return rank(a.Name) - rank(b.Name) })
	c.archive.Files = kept
	if err := os.WriteFile(file, txtar.Format(c.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func rank(name string) int { return map[string]int{"errors": 1, "warnings": 2}[name] }

func lines(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(s string) bool { return s == "" })
}

const smallest = `
profiles:
  default:
    issuers:
      - iss: my-app
        keys: [{jwks_url: "https://idp.example.com/jwks"}]
        audiences: [jitsi]
`

func parse(t *testing.T, text string, env ...string) *config.Config {
	t.Helper()
	cfg, _, err := config.Parse("usher.yaml", []byte(text), env)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestLoad_TheSmallestConfigHasEveryDefault(t *testing.T) {
	cfg := parse(t, smallest)
	p := cfg.Profiles["default"]
	iss := p.Issuers[0]
	got := map[string]any{
		"listen": cfg.Listen, "admin": cfg.Admin.Listen, "token": cfg.Limits.MaxTokenSize.String(), "redis": cfg.Redis == nil,
		"data": cfg.DataDir, "retention": cfg.Audit.Retention.String(), "size": cfg.Audit.MaxSize.String(), "sink": cfg.Audit.Sink,
		"guests": p.Guests, "domain": p.Domain, "prefix": p.MUCPrefix, "verify": p.Rooms.VerifyDomain, "create": p.Rooms.Create,
		"types": strings.Join(p.Types, ","), "stale": p.Revocation.MaxStaleness.String(), "expiry": p.OnExpiry,
		"algorithms": iss.Algorithms == nil, "subjects": iss.Subjects == nil, "features": iss.Features == nil,
		"leeway": iss.Time.Leeway.String(), "exp": iss.Time.RequireExp, "lifetime": iss.Time.MaxLifetime.String(),
		"jti": iss.Replay.JTI, "grace": iss.Replay.Grace.String(), "max_stale": iss.Keys[0].MaxStale.String(),
		"where": iss.Keys[0].Where,
	}
	want := map[string]any{
		"listen": "127.0.0.1:9160", "admin": "127.0.0.1:9161", "token": "8KiB", "redis": true,
		"data": "/var/lib/usher", "retention": "2160h0m0s", "size": "10GiB", "sink": "none",
		"guests": "deny", "domain": "", "prefix": "conference", "verify": true, "create": "deny",
		"types": "JWT", "stale": "5s", "expiry": "keep",
		"algorithms": true, "subjects": true, "features": true,
		"leeway": "10s", "exp": true, "lifetime": "0s",
		"jti": "off", "grace": "1m0s", "max_stale": "24h0m0s",
		"where": "usher.yaml:6",
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s is %v, want %v", name, got[name], want[name])
		}
	}
}
