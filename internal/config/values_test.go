package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/token"
)

const everything = `
listen: 127.0.0.1:1
redis: {url: "redis://usher:swordfish-in-url@127.0.0.1:6379/3", prefix: "meet:"}
audit: {pseudonym_key: swordfish-pseudonym, retention: 1w2d, max_size: 1GB}
profiles:
  default: &default
    domain: meet.example.com
    issuers: &issuers
      - iss: my-app
        algorithms: [HS256]
        keys:
          - {secret: swordfish-inline, kid: 2026, not_after: 2027-01-01T00:00:00+01:00}
          - {secret_env: APP_SECRET, kid: b}
        audiences: [jitsi]
        features: {allow: [], force: {branding: false}}
        replay: {jti: off, grace: 90s}
      - iss: "*"
        audiences: ["*"]
        replay: {jti: once}
        keys:
          - pem: |
              -----BEGIN PUBLIC KEY-----
              -----END PUBLIC KEY-----
  Jigasi.Example.com:
    <<: *default
    domain: jigasi.example.com
`

func TestParse_ValuesAreWhatWasWritten(t *testing.T) {
	cfg := parse(t, everything, "APP_SECRET=swordfish-env")
	iss := cfg.Profiles["default"].Issuers
	jigasi := cfg.Profiles["jigasi.example.com"]
	for what, ok := range map[string]bool{
		"weeks and days add up":                        cfg.Audit.Retention == 9*24*time.Hour,
		"decimal units are decimal":                    cfg.Audit.MaxSize == 1e9,
		"a kid may look like a number":                 iss[0].Keys[0].Kid == "2026",
		"times keep their zone":                        iss[0].Keys[0].NotAfter.Equal(time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC)),
		"a variable's secret is in Secret":             string(iss[0].Keys[1].Secret) == "swordfish-env",
		"an empty allow list is not an absent one":     iss[0].Features.Allow != nil && len(iss[0].Features.Allow) == 0,
		"an absent allow list is nil":                  iss[1].Features == nil,
		"a bare off is a word":                         iss[0].Replay.JTI == config.Off && iss[1].Replay.JTI == config.Once,
		"credentials leave the URL":                    cfg.Redis.URL == "redis://127.0.0.1:6379/3" && cfg.Redis.Username == "usher" && cfg.Redis.Password == "swordfish-in-url",
		"profile names are as Prosody's hosts":         jigasi != nil && jigasi.Name == "jigasi.example.com",
		"merge keys bring in and are overridden":       jigasi.Domain == "jigasi.example.com" && len(jigasi.Issuers) == 2,
		"profiles that share a block share no pointer": jigasi.Issuers[0] != iss[0],
		"a PEM may be written in place":                strings.HasPrefix(iss[1].Keys[0].PEM, "-----BEGIN PUBLIC KEY-----\n"),
	} {
		if !ok {
			t.Errorf("not so: %s", what)
		}
	}
}

// An editor that speaks YAML 1.1 turns a bare off into false.
func TestParse_OffMayBeABoolean(t *testing.T) {
	text := strings.Replace(everything, "{jti: off, grace: 90s}", "{jti: false}", 1)
	if jti := parse(t, text, "APP_SECRET=x").Profiles["default"].Issuers[0].Replay.JTI; jti != config.Off {
		t.Errorf("jti is %q", jti)
	}
}

func TestSecret_IsNeverPrinted(t *testing.T) {
	cfg := parse(t, everything, "APP_SECRET=swordfish-env")
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Info("config", "config", cfg, "secret", cfg.Audit.PseudonymKey, "profile", *cfg.Profiles["default"].Issuers[0])
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "config", cfg)
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{log.String(), string(asJSON), cfg.Redis.Password.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, cfg), fmt.Sprintf(verb, *cfg), fmt.Sprintf(verb, *cfg.Redis),
			fmt.Sprintf(verb, *cfg.Profiles["default"]), fmt.Sprintf(verb, cfg.Audit), fmt.Sprintf(verb, []any{cfg, *cfg}), fmt.Sprintf(verb, cfg.Redis.Password),
			fmt.Sprintf(verb, cfg.Profiles["default"].Issuers[0].Keys))
	}
	for _, text := range printed {
		if strings.Contains(text, "swordfish") || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", "swordfish")) {
			t.Errorf("a secret is in %.300s", text)
		}
	}
}

func TestWhere_NamesFileAndLine(t *testing.T) {
	cfg := parse(t, everything, "APP_SECRET=swordfish-env", "USHER_ADMIN_LISTEN=127.0.0.1:7")
	for path, want := range map[string]string{
		"listen":                                "usher.yaml:2",
		"profiles.default.issuers[0].audiences": "usher.yaml:14",
		"profiles.default.issuers[0].keys[1]":   "usher.yaml:13",
		"profiles.default.issuers[1]":           "usher.yaml:17",
		"profiles.default.issuers[0].time":      "usher.yaml:9 (default)",
		"profiles.default.rooms.create":         "usher.yaml:6 (default)",
		"profiles.jigasi.example.com.domain":    "usher.yaml:26",
		"limits.max_token_size":                 "usher.yaml (default)",
		"admin.listen":                          "USHER_ADMIN_LISTEN",
	} {
		if got := cfg.Where(path); got != want {
			t.Errorf("%s is at %s, want %s", path, got, want)
		}
	}
}

func TestLoad_LooksInOrder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name string) string {
		path := filepath.Join(dir, name)
		text := strings.Replace(smallest, "my-app", filepath.Base(name), 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	search := []string{"./usher.yaml", write("etc.yaml")}
	found := func(opt config.Options) string {
		opt.Search = search
		cfg, _, err := config.Load(opt)
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Profiles["default"].Issuers[0].Iss
	}
	env := []string{"USHER_CONFIG=" + write("env.yaml"), "JWT_APP_ID=jitsi", "JWT_APP_SECRET=x"}
	if got := found(config.Options{}); got != "etc.yaml" {
		t.Errorf("without any other: %s", got)
	}
	write("usher.yaml")
	if got := found(config.Options{Env: env[1:]}); got != "usher.yaml" {
		t.Errorf("the working folder's and Jitsi's environment: %s", got)
	}
	if got := found(config.Options{Env: env}); got != "env.yaml" {
		t.Errorf("$USHER_CONFIG: %s", got)
	}
	if got := found(config.Options{Env: env, Path: write("flag.yaml")}); got != "flag.yaml" {
		t.Errorf("--config: %s", got)
	}
	search = nil
	if got := found(config.Options{Env: env[1:], Path: ""}); got == "jitsi" {
		t.Errorf("a file that is there was passed over for the environment")
	}
}

func TestLoad_RelativePathsAreTakenFromTheConfigsFolder(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(smallest, `{jwks_url: "https://idp.example.com/jwks"}`, "{secret_file: app.secret}", 1) +
		"data_dir: data\nredis: {url: \"redis://127.0.0.1\", password_file: redis.password}\n"
	for name, content := range map[string]string{"usher.yaml": text, "app.secret": "x", "redis.password": "swordfish\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, _, err := config.Load(config.Options{Path: filepath.Join(dir, "usher.yaml"), Env: []string{"USHER_DATA_DIR=elsewhere"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Profiles["default"].Issuers[0].Keys[0].SecretFile; got != filepath.Join(dir, "app.secret") {
		t.Errorf("secret_file is %s", got)
	}
	if string(cfg.Redis.Password) != "swordfish" {
		t.Error("the password file was not read, or its newline is part of the password")
	}
	if cfg.DataDir != "elsewhere" {
		t.Errorf("a path from the environment was taken from the config's folder: %s", cfg.DataDir)
	}
}

func TestLoad_EnvironmentWinsOverTheFile(t *testing.T) {
	cfg := parse(t, smallest+"log: {level: warn}\nredis: {url: \"redis://127.0.0.1\", password: in-file}\n",
		"USHER_LOG_LEVEL=debug", "USHER_HOSTS=a.example.com, b.example.com", "USHER_LIMITS_BAD_TOKENS_PER_ADDRESS=20",
		"USHER_AUDIT_NAMES=true", "USHER_REDIS_PASSWORD=in-env", "USHER_LISTEN=")
	for what, ok := range map[string]bool{
		"a word":               cfg.Log.Level == "debug",
		"a list":               strings.Join(cfg.Hosts, "|") == "a.example.com|b.example.com",
		"a number":             cfg.Limits.BadTokensPerAddress == 20,
		"a boolean":            cfg.Audit.Names,
		"a secret":             string(cfg.Redis.Password) == "in-env",
		"an empty one is none": cfg.Listen == "127.0.0.1:9160",
	} {
		if !ok {
			t.Errorf("not so: %s", what)
		}
	}
	if cfg := parse(t, smallest, "USHER_REDIS_SENTINEL_MASTER=m", "USHER_REDIS_SENTINEL_ADDRESSES=127.0.0.1:26379"); cfg.Redis.Sentinel.Master != "m" || cfg.Redis.Prefix != "usher:" {
		t.Error("a section that the file leaves out cannot be set by the environment")
	}
}

func TestJitsi_EnvironmentAloneIsAConfig(t *testing.T) {
	load := func(env ...string) *config.Profile {
		t.Helper()
		cfg, _, err := config.Load(config.Options{Env: env, Search: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Profiles["default"]
	}
	secret := "JWT_APP_SECRET=0123456789abcdef0123456789abcdef"
	p := load("JWT_APP_ID=my-app", secret)
	q := load("JWT_APP_ID=my-app", secret, "JWT_ACCEPTED_ISSUERS=one, two,one", "JWT_ACCEPTED_AUDIENCES=a,b", "JWT_ALLOW_EMPTY=1",
		"JWT_ENABLE_DOMAIN_VERIFICATION=true", "JWT_SIGN_TYPE=HS512", "XMPP_DOMAIN=meet.example.com",
		"XMPP_MUC_DOMAIN=conf.meet.example.com", "USHER_ALLOW_SHORT_SECRET=true")
	asap := load("JWT_APP_ID=my-app", "JWT_ASAP_KEYSERVER=https://keys.example.com")
	guests := load("JWT_APP_ID=my-app", secret, "ENABLE_GUESTS=1", "JWT_ALLOW_EMPTY=0")
	verified := load("JWT_APP_ID=my-app", secret, "ENABLE_GUESTS=1", "JWT_ENABLE_DOMAIN_VERIFICATION=1")
	public := load("JWT_APP_ID=my-app", "JWT_SIGN_TYPE=RS256", `JWT_APP_SECRET=-----BEGIN PUBLIC KEY-----\nx`)
	for what, ok := range map[string]bool{
		"the app id is the issuer":        len(p.Issuers) == 1 && p.Issuers[0].Iss == "my-app",
		"the secret is its key":           string(p.Issuers[0].Keys[0].Secret) == "0123456789abcdef0123456789abcdef",
		"and is found by its variable":    p.Issuers[0].Keys[0].Where == "JWT_APP_SECRET",
		"no guests":                       p.Guests == config.Deny,
		"domain verification is off":      !p.Rooms.VerifyDomain,
		"any sub at connect":              strings.Join(p.Issuers[0].Subjects, ",") == "*",
		"not any audience":                strings.Join(p.Issuers[0].Audiences, ",") == "jitsi,my-app",
		"the image's own MUC prefix":      p.MUCPrefix == "muc",
		"the focus opens rooms":           p.Rooms.Create == config.Deny,
		"the host that asks":              p.Domain == "",
		"issuers are a list":              len(q.Issuers) == 2 && q.Issuers[1].Iss == "two",
		"audiences are a list":            strings.Join(q.Issuers[1].Audiences, ",") == "a,b",
		"guests where allowed":            q.Guests == config.Allow,
		"guests of a host of their own":   guests.Guests == config.Allow,
		"but not where domains count":     verified.Guests == config.Deny,
		"domain verification on":          q.Rooms.VerifyDomain,
		"the algorithm":                   strings.Join(q.Issuers[0].Algorithms, ",") == "HS512",
		"the domain":                      q.Domain == "meet.example.com",
		"the MUC's first label":           q.MUCPrefix == "conf",
		"a short secret where told":       q.Issuers[0].AllowShortSecret && !p.Issuers[0].AllowShortSecret,
		"a key server":                    asap.Issuers[0].Keys[0].ASAPURL == "https://keys.example.com" && asap.Issuers[0].Keys[0].MaxStale == 24*time.Hour,
		"a public key in the secret":      public.Issuers[0].Keys[0].PEM == "-----BEGIN PUBLIC KEY-----\nx",
		"which is no secret at the same":  public.Issuers[0].Keys[0].Secret == "",
		"and is found by its variable, 2": asap.Issuers[0].Keys[0].Where == "JWT_ASAP_KEYSERVER",
	} {
		if !ok {
			t.Errorf("not so: %s", what)
		}
	}
}

func TestJitsi_GuestsAreFoundByTheVariableThatDecided(t *testing.T) {
	for set, want := range map[string]string{"": "JWT_ALLOW_EMPTY", "ENABLE_GUESTS=1": "ENABLE_GUESTS", "ENABLE_GUESTS=1 JWT_ALLOW_EMPTY=1": "JWT_ALLOW_EMPTY"} {
		env := append(strings.Fields(set), "JWT_APP_ID=my-app", "JWT_APP_SECRET=0123456789abcdef0123456789abcdef")
		cfg, _, err := config.Load(config.Options{Env: env, Search: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Where("profiles.default.guests"); got != want {
			t.Errorf("with %q guests are decided by %s, want %s", set, got, want)
		}
	}
}

// The list of algorithms stands in the tag for the docs and in package token for the rule: both are one.
func TestAlgorithms_AreThoseOfTheToken(t *testing.T) {
	for _, alg := range []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "none", "ES256K"} {
		_, known := token.ParseAlgorithm(alg)
		key := "pem: |\n                  -----BEGIN PUBLIC KEY-----"
		if strings.HasPrefix(alg, "HS") {
			key = "secret: 0123456789abcdef0123456789abcdef"
		}
		text := fmt.Sprintf("profiles:\n  default:\n    issuers:\n      - iss: a\n        audiences: [b]\n        algorithms: [%s]\n        keys:\n          - %s\n", alg, key)
		if _, _, err := config.Parse("usher.yaml", []byte(text), nil); (err == nil) != known {
			t.Errorf("%s: the token package says %t, the config: %v", alg, known, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	cases, err := filepath.Glob("testdata/load/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range cases {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(everything))
	f.Add([]byte(config.Example()))
	f.Add([]byte("a: &a [*a, *a]\nb: {<<: *a}\n? {}\n: x\n--- !!map\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, _, err := config.Parse("usher.yaml", data, []string{"APP_SECRET=x"})
		if (cfg == nil) == (err == nil) {
			t.Error("neither a config nor an error, or both")
		}
		if err != nil && err.Error() == "" {
			t.Error("an error without a word")
		}
	})
}

func TestParse_TakesAProfileForEachOfManyCustomers(t *testing.T) {
	var text strings.Builder
	text.WriteString("profiles:\n")
	for n := range 2000 {
		fmt.Fprintf(&text, "  host%[1]d.example.com:\n    domain: host%[1]d.example.com\n    rooms: {create: allow, wildcard: deny}\n    issuers:\n"+
			"      - iss: app%[1]d\n        keys: [{secret_file: app.secret, kid: k1}]\n        audiences: [jitsi]\n        time: {leeway: 5s, max_lifetime: 24h}\n", n)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("app.secret", []byte(strings.Repeat("s", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Parse("usher.yaml", []byte(text.String()), nil)
	if err != nil {
		t.Fatal(strings.SplitN(err.Error(), "\n", 2)[0])
	}
	if len(cfg.Profiles) != 2000 {
		t.Errorf("%d profiles", len(cfg.Profiles))
	}
}

// The parser would take minutes for the longest of these, and its stack for others.
func TestParse_RefusesWhatIsNestedTooDeeply(t *testing.T) {
	const says = "usher.yaml:2: brackets or lists are nested too deeply"
	for text, deep := range map[string]bool{
		"a:\n" + strings.Repeat("- ", 500_000) + "x":                         true,
		"a:\n" + strings.Repeat("- ", 65) + "x":                              true,
		"a: !!seq\r\n" + strings.Repeat("- !!seq ", 65) + "x":                true,
		"a:\n" + strings.Repeat("[", 65):                                     true,
		"a: [\"\n# \", " + strings.Repeat("[", 65):                           true, // no comment
		"a:\n" + strings.Repeat("- ", 64) + "x":                              false,
		"a:\n  # " + strings.Repeat("- ", 65) + "\r\n  b: c":                 false,
		"a:\n# " + strings.Repeat("- [", 65) + "\n  b: c":                    false,
		"a:\n" + strings.Repeat("- x\n", 100) + strings.Repeat("- x\r", 100): false,
	} {
		if _, _, err := config.Parse("usher.yaml", []byte(text), nil); err == nil || strings.HasPrefix(err.Error(), says) != deep {
			t.Errorf("%.40q…: %v", text, err)
		}
	}
}
