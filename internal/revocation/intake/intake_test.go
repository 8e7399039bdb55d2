package intake_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/intake"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

func parse(t *testing.T, issuers ...string) *config.Config {
	t.Helper()
	text := "profiles:\n  default:\n    domain: meet.example.com\n    issuers:\n"
	for _, iss := range issuers {
		text += "      - {" + iss + `, keys: [{secret: "a secret that is long enough for HS256"}], audiences: [jitsi]}` + "\n"
	}
	cfg, _, err := config.Parse("usher.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

var now = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

func TestTimes_AreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]time.Time{
		"": {}, "now": now, "2h": now.Add(2 * time.Hour), "1h30m": now.Add(90 * time.Minute), "7d": now.Add(7 * 24 * time.Hour), "1w": now.Add(7 * 24 * time.Hour),
		"2026-11-25": now.Add(14 * time.Hour), "2026-11-24T12:00:00+01:00": now.Add(time.Hour), "2026-11-24 11:00:00": now.Add(time.Hour), " 2026-11-24T11:00 ": now.Add(time.Hour),
		"2026-11-24 11:00:00.000Z": now.Add(time.Hour), // as lists show it
	} {
		if got, err := intake.ParseTime(text, now, +1); err != nil || !got.Equal(want) {
			t.Errorf("%q is read as %s, %v; want %s", text, got, err, want)
		}
	}
	if got, err := intake.ParseTime("2h", now, -1); err != nil || !got.Equal(now.Add(-2*time.Hour)) {
		t.Errorf("2h back is %s, %v", got, err)
	}
	for _, text := range []string{"soon", "-2h", "2", "1790000000", "99999999w", "0001-01-01", "2026-13-01", "1e9h", "9999-12-31T23:59:59-01:00"} {
		if got, err := intake.ParseTime(text, now, +1); err == nil {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}

func pasted(t *testing.T, claims string) string {
	t.Helper()
	raw, err := mint.Raw(token.Algorithm("HS256"), []byte("another secret, for nobody checks it"), []byte(`{"alg":"HS256","typ":"JWT"}`), []byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestToken_ThatIsPastedGoesWhenItRunsOut(t *testing.T) {
	exp := now.Add(time.Hour)
	for _, c := range []struct {
		name, issuer, claims string
		want                 time.Time
	}{
		{"exp, leeway and a minute", "iss: app", fmt.Sprintf(`{"iss":"app","exp":%d}`, exp.Unix()), exp.Add(70 * time.Second)},
		{"the issuer's own leeway", "iss: app, time: {leeway: 5m}", fmt.Sprintf(`{"iss":"app","exp":%d}`, exp.Unix()), exp.Add(6 * time.Minute)},
		{"milliseconds", "iss: app", fmt.Sprintf(`{"iss":"app","exp":%d}`, exp.UnixMilli()), exp.Add(70 * time.Second)},
		{"any issuer's rules", `iss: "*"`, fmt.Sprintf(`{"iss":"app","exp":%d}`, exp.Unix()), exp.Add(70 * time.Second)},
		{"no exp", "iss: app", `{"iss":"app"}`, time.Time{}},
		{"the last moment that can be written", "iss: app, time: {timestamps: seconds}", `{"iss":"app","exp":253402300799}`, time.Time{}},
		{"an issuer that is not configured", "iss: other", fmt.Sprintf(`{"iss":"app","exp":%d}`, exp.Unix()), time.Time{}},
		{"run out already", "iss: app", `{"iss":"app","exp":1000000000}`, now.Add(time.Minute)},
	} {
		q := intake.Request{Selector: revocation.SelectToken, Value: pasted(t, c.claims)}
		r, _, err := q.Revocation(parse(t, c.issuer), "cred:soc", now)
		if err != nil || !r.ExpiresAt.Equal(c.want) {
			t.Errorf("%s: it goes at %s, %v; want %s", c.name, r.ExpiresAt, err, c.want)
		}
		if strings.Contains(fmt.Sprint(r), "eyJ") {
			t.Errorf("%s: the token itself is kept: %+v", c.name, r)
		}
		q.Value = r.Value // by fingerprint alone
		if r, _, err = q.Revocation(parse(t, c.issuer), "cred:soc", now); err != nil || !r.ExpiresAt.IsZero() {
			t.Errorf("%s: by fingerprint it goes at %s, %v", c.name, r.ExpiresAt, err)
		}
	}
}

// Forced to seconds, an exp in milliseconds lies in the far future, and the revocation must not go before the token does.
func TestToken_IsRevokedAsLongAsItsIssuerTakesIt(t *testing.T) {
	q := intake.Request{Selector: revocation.SelectToken, Value: pasted(t, fmt.Sprintf(`{"iss":"app","exp":%d}`, now.Add(time.Hour).UnixMilli()))}
	r, _, err := q.Revocation(parse(t, `iss: app, time: {timestamps: seconds}`), "cred:soc", now)
	if err != nil || !r.ExpiresAt.IsZero() {
		t.Errorf("it goes at %s, %v", r.ExpiresAt, err)
	}
}

func TestIssuer_IsFoundWhereOneIsConfiguredAndAskedForElse(t *testing.T) {
	q := intake.Request{Selector: revocation.SelectUser, Value: "u", IssuedBefore: "now"}
	if r, says, err := q.Revocation(parse(t, "iss: app"), "cred:soc", now); err != nil || r.Issuer != "app" || len(says) != 0 || !r.IssuedBefore.Equal(now) {
		t.Errorf("with one issuer: %+v, %v, %v", r, says, err)
	}
	for says, cfg := range map[string]*config.Config{
		"name one of the configured (app, other)": parse(t, "iss: app", "iss: other"), "name the iss that the tokens have, each in a revocation of its own (`usher audit stats --by issuer` shows": parse(t, `iss: "*"`),
	} {
		if _, _, err := q.Revocation(cfg, "cred:soc", now); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the issuer was guessed: %v", err)
		}
	}
}

// Tokens are revoked by the iss that they have. Who names the * of the config must not be told that something was revoked, but
// for a key: that is what usher keys list shows of one that serves any iss.
func TestIssuer_ThatIsAnyInTheConfigNamesNothingButKeys(t *testing.T) {
	cfg := parse(t, "iss: app", `iss: "*"`)
	for _, q := range []intake.Request{
		{Selector: revocation.SelectJTI, Issuer: "*", Value: "17"}, {Selector: revocation.SelectUser, Issuer: "*", Value: "u"},
		{Selector: revocation.SelectIssuer, Value: "*"}, {Selector: revocation.SelectIssuer, Issuer: "*"},
	} {
		if r, _, err := q.Revocation(cfg, "cred:soc", now); err == nil || !strings.Contains(err.Error(), "name the iss that the tokens have, each in a revocation of its own (`usher audit stats --by issuer` shows") {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if _, _, err := (intake.Request{Selector: revocation.SelectUser, Value: "u"}).Revocation(cfg, "cred:soc", now); err == nil ||
		!strings.Contains(err.Error(), "(app, any other iss that the tokens have)") {
		t.Error(err)
	}
	if _, says, err := (intake.Request{Selector: revocation.SelectUser, Issuer: "whoever", Value: "u"}).Revocation(cfg, "cred:soc", now); err != nil || len(says) > 0 {
		t.Error(says, err)
	}
	for issuer, warns := range map[string]bool{"app": false, "*": false, "whoever": true} {
		_, says, err := (intake.Request{Selector: revocation.SelectKey, Issuer: issuer, Value: "default"}).Revocation(cfg, "cred:soc", now)
		if err != nil || strings.Contains(fmt.Sprint(says), "revoke a leaked key under the issuer *") != warns {
			t.Errorf("a key under %s: %v, %v", issuer, says, err)
		}
	}
	if r, says, err := (intake.Request{Selector: revocation.SelectKey, Value: "default"}).Revocation(parse(t, `iss: "*"`), "cred:soc", now); err != nil || r.Issuer != "*" || len(says) > 0 {
		t.Errorf("a key where any issuer is let in, and none by name: %+v, %v, %v", r, says, err)
	}
	if _, says, err := (intake.Request{Selector: revocation.SelectKey, Issuer: "*", Value: "default"}).Revocation(parse(t, "iss: app"), "cred:soc", now); err != nil || !strings.Contains(fmt.Sprint(says), "no profile accepts") {
		t.Errorf("a key for any issuer where none is let in: %v, %v", says, err)
	}
}

// One secret may stand in two blocks, and two secrets have one ID. Under each issuer stand the keys that serve any as well.
func TestCautions_SayOfAKeyThatAnIssuerAndAnyHaveOneOfThatID(t *testing.T) {
	cfg := parse(t, "iss: app", "iss: other", `iss: "*"`)
	keys := func(of ...string) intake.KeyNames {
		return func(issuer, id string) (names []string, open bool) {
			for _, have := range of {
				if have == issuer || have == "*" {
					names = append(names, id)
				}
			}
			return names, false
		}
	}
	for _, c := range []struct {
		issuer string
		names  intake.KeyNames
		warns  string
	}{
		{"app", keys("app", "*"), "serves any iss; if that is the one meant"}, {"app", keys("*"), "serves any iss; if that is the one meant"},
		{"app", keys("app"), ""}, {"app", keys("app", "other"), ""},
		{"*", keys("app", "*"), `the issuer "app" has a key with the ID "shared" of its own`}, {"*", keys("*"), ""}, {"*", keys("*", "*"), ""},
	} {
		r := revocation.Revocation{Selector: revocation.SelectKey, Issuer: c.issuer, Value: "shared"}
		if says := intake.Doubt(nil, r, cfg, c.names); len(says) != min(len(c.warns), 1) || !strings.Contains(fmt.Sprint(says), c.warns) {
			t.Errorf("under %s: %v", c.issuer, says)
		}
	}
}

func TestCautions_AreSaid(t *testing.T) {
	for _, c := range []struct {
		q    intake.Request
		says string
	}{
		{intake.Request{Selector: revocation.SelectKey, Value: "2026-a", IssuedBefore: "now"}, "can write any iat"},
		{intake.Request{Selector: revocation.SelectJTI, Issuer: "typo", Value: "x"}, "no profile accepts"},
		{intake.Request{Selector: revocation.SelectIssuer, Value: "typo"}, "no profile accepts"},
		{intake.Request{Selector: revocation.SelectUser, Value: audit.NewPseudonyms([]byte("key")).User("ada")}, "in place of one"},
		{intake.Request{Selector: revocation.SelectJTI, Value: audit.Cut(strings.Repeat("long", 99))}, "in place of one"},
		{intake.Request{Selector: revocation.SelectUser, Value: "p1:ada…"}, ""},
		{intake.Request{Selector: revocation.SelectKey, Value: "2026-a"}, ""},
	} {
		_, says, err := c.q.Revocation(parse(t, "iss: app"), "cred:soc", now)
		if err != nil || !strings.Contains(fmt.Sprint(says), c.says) || c.says == "" && len(says) > 0 {
			t.Errorf("%+v: %v, %v; it should say %q", c.q, says, err, c.says)
		}
	}
}

// A misspelt ID of a key revokes nothing. Where nobody accepts the issuer, that is said already.
func TestCautions_SayOfAKeyThatItIsNotThereOrNotKnown(t *testing.T) {
	keys := func(issuer, id string) (names []string, open bool) {
		if id == "2026-a" {
			return []string{"2026-a"}, false
		}
		return nil, id == "elsewhere"
	}
	for _, c := range []struct {
		selector         revocation.Selector
		issuer, id, says string
	}{
		{revocation.SelectKey, "app", "2026-a", "[]"},
		{revocation.SelectKey, "app", "2026-A", `the issuer "app" has no key with the ID "2026-A" now`},
		{revocation.SelectKey, "app", "elsewhere", `whether the issuer "app" has a key with the ID "elsewhere" could not be looked up`},
		{revocation.SelectKey, "typo", "2026-A", `[no profile accepts tokens of the issuer "typo", so this revocation meets none; configured are: app]`},
		{revocation.SelectUser, "app", "2026-A", "[]"},
	} {
		cfg, q := parse(t, "iss: app"), intake.Request{Selector: c.selector, Issuer: c.issuer, Value: c.id}
		r, says, err := q.Revocation(cfg, "cred:soc", now)
		if says = intake.Doubt(says, r, cfg, keys); err != nil || !strings.Contains(fmt.Sprint(says), c.says) {
			t.Errorf("%+v: %v, %v", c, says, err)
		}
	}
}
