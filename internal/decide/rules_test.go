package decide_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/keys"
	"github.com/usher-im/usher/internal/policy"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// changed is the base config with pairs of texts replaced. Behind "issuer" comes a line more for its block, behind "profile"
// one for the profile.
func changed(t *testing.T, pairs ...string) string {
	t.Helper()
	yaml := base
	for n := 0; n < len(pairs); n += 2 {
		from, to := pairs[n], pairs[n+1]
		switch from {
		case "issuer":
			yaml += "        " + to + "\n"
			continue
		case "profile":
			from, to = "    issuers:", "    "+to+"\n    issuers:"
		}
		if !strings.Contains(yaml, from) {
			t.Fatalf("the config has no %q", from)
		}
		yaml = strings.Replace(yaml, from, to, 1)
	}
	return yaml
}

// Each rule of the config reaches the verdict: with it, what is refused by default is let in, or the other way round. Explain
// says of all of them what the verdict is.
func TestDecide_EachRuleOfTheConfigCounts(t *testing.T) {
	user := func(id any) map[string]any { return map[string]any{"user": map[string]any{"id": id}} }
	pattern := map[string]any{"room": map[string]any{"regex": true}}
	join := decide.Question{Stage: decide.Join, Room: daily}
	connect := decide.Question{Stage: decide.Connect}
	for _, c := range []struct {
		config []string
		claims map[string]any
		q      decide.Question
		want   reason.Code
	}{
		{[]string{"iss: my-app", `iss: "*"`}, good("iss", "whoever"), join, reason.None},
		{[]string{"iss: my-app", `iss: "*"`}, good("iss", nil), join, reason.IssuerNotAllowed},
		{[]string{"iss: my-app", `iss: "*"`}, good("iss", ""), join, reason.IssuerNotAllowed},
		{[]string{"issuer", "algorithms: [HS384]"}, good(), join, reason.AlgorithmNotAllowed},
		{[]string{"[jitsi]", `["*"]`}, good("aud", "any"), join, reason.None},
		{[]string{"[jitsi]", `["*"]`}, good("aud", nil), join, reason.AudienceNotAllowed},
		{[]string{"[jitsi]", `["*"]`}, good("aud", []string{}), join, reason.AudienceNotAllowed},
		{[]string{"issuer", "subjects: [other, Acme]"}, good("sub", "aCME"), connect, reason.None},
		{[]string{"issuer", "subjects: [other, Acme]"}, good(), connect, reason.SubjectNotAllowed},
		{[]string{"issuer", `subjects: ["*"]`}, good("sub", "whatever"), connect, reason.None},
		{[]string{"issuer", `subjects: ["*"]`}, good("sub", ""), connect, reason.SubjectMissing},
		{[]string{"profile", "domain: other.example.com"}, good("sub", "other.example.com"), connect, reason.None},
		{[]string{"profile", "domain: other.example.com"}, good(), connect, reason.SubjectNotAllowed},
		{[]string{"issuer", "required_claims: [context.user.id]"}, good(), connect, reason.None},
		{[]string{"issuer", "required_claims: [context.user.id]"}, good("context", user("")), connect, reason.ClaimMissing},
		{[]string{"issuer", "required_claims: [context.user.id]"}, good("context", user(nil)), connect, reason.ClaimMissing},
		{[]string{"issuer", "required_claims: [context.user.id]"}, good("context", nil), connect, reason.ClaimMissing},
		{[]string{"issuer", "time: {require_exp: false}"}, good("exp", nil), join, reason.None},
		{[]string{"issuer", "time: {max_lifetime: 30m}"}, good(), join, reason.LifetimeTooLong},
		{[]string{"issuer", "time: {leeway: 2m}"}, good("exp", now.Add(-time.Minute).Unix()), join, reason.None},
		{[]string{"issuer", "time: {timestamps: seconds}"}, good("exp", now.Add(time.Hour).UnixMilli()), join, reason.TokenMalformed},
		{nil, good("exp", -1), join, reason.TokenMalformed},
		{[]string{"profile", "types: [at+jwt]"}, good(), join, reason.TokenMalformed},
		{[]string{"profile", "rooms: {create: allow}"}, good(), decide.Question{Stage: decide.Create, Room: daily}, reason.None},
		{[]string{"profile", "rooms: {create: allow}"}, good("room", "x"), decide.Question{Stage: decide.Create, Room: daily}, reason.RoomMismatch},
		{[]string{"profile", "rooms: {wildcard: deny}"}, good("room", "*"), join, reason.RoomMismatch},
		{[]string{"profile", "rooms: {require_claim: false}"}, good("room", nil), join, reason.None},
		{[]string{"profile", "rooms: {verify_domain: false}"}, good(), decide.Question{Stage: decide.Join, Room: "daily@conference.other.example.com"}, reason.None},
		{[]string{"profile", "muc_prefix: talks"}, good(), decide.Question{Stage: decide.Join, Room: "daily@talks.meet.example.com"}, reason.None},
		{nil, good("room", "d%a+", "context", pattern), join, reason.None},
		{nil, good("room", "d%a+"), join, reason.RoomMismatch},
		{[]string{"profile", "rooms: {patterns: re2}"}, good("room", `d\pL+`, "context", pattern), join, reason.None},
		{[]string{"profile", "rooms: {patterns: deny}"}, good("room", "d%a+", "context", pattern), join, reason.RoomPatternInvalid},
		{nil, good("room", "other"), decide.Question{Stage: decide.Recheck}, reason.None}, // it sits in none
		{nil, good("room", "other"), decide.Question{Stage: decide.Recheck, Room: daily}, reason.RoomMismatch},
		{[]string{"default:", "Meet.Example.com:"}, good(), join, reason.None},
		{[]string{"default:", "other.example.com:"}, good(), join, reason.ProfileUnknown},
		{[]string{`"}]`, `", not_after: ` + now.Add(time.Second).Format(time.RFC3339) + `}]`}, good(), join, reason.None},
		{[]string{`"}]`, `", not_after: ` + now.Format(time.RFC3339) + `}]`}, good(), join, reason.KeyNotFound},
	} {
		h, q := open(t, changed(t, c.config...)), c.q
		q.Token, q.Host = signed(t, c.claims), host
		for range 2 { // the second time it is known
			if v := h.Decide(t.Context(), &q, now); code(v) != c.want {
				t.Errorf("%q, %v: got %q (%v), want %q", c.config, c.claims, code(v), v.Problem, c.want)
			}
		}
		if e := h.Explain(t.Context(), &q, now); e.Reason != c.want || e.Allow != (c.want == reason.None) {
			t.Errorf("%q, %v: explain says %q, want %q", c.config, c.claims, e.Reason, c.want)
		}
	}
}

func TestDecide_RevocationsAreAskedByTheProfilesRules(t *testing.T) {
	for rules, want := range map[string]revocation.Rules{
		"{}": {MaxStaleness: 5 * time.Second},
		"{on_unavailable: allow, max_staleness: 7s}": {AllowWhenUnavailable: true, MaxStaleness: 7 * time.Second},
		"{strict: true}": {Strict: true, MaxStaleness: 5 * time.Second},
	} {
		h := open(t, changed(t, "profile", "revocation: "+rules))
		h.ask(t, decide.Question{Token: signed(t, good()), Stage: decide.Connect})
		if h.revocations.rules != want {
			t.Errorf("%s: asked by %+v", rules, h.revocations.rules)
		}
	}
}

func TestDecide_ATokenIsRevokedByEachOfItsNames(t *testing.T) {
	raw := signed(t, good("jti", "t1"))
	issued := now.Truncate(time.Second)
	for _, c := range []struct {
		profile string
		revoked revocation.Revocation
		want    reason.Code
	}{
		{"", revocation.Revocation{Selector: revocation.SelectToken, Value: raw}, reason.TokenRevoked},
		{"", revocation.Revocation{Selector: revocation.SelectToken, Value: signed(t, good("jti", "t2"))}, reason.None},
		{"", revocation.Revocation{Selector: revocation.SelectJTI, Issuer: "my-app", Value: "t1"}, reason.TokenRevoked},
		{"", revocation.Revocation{Selector: revocation.SelectJTI, Issuer: "other", Value: "t1"}, reason.None},
		{"", revocation.Revocation{Selector: revocation.SelectUser, Issuer: "my-app", Value: "u1"}, reason.TokenRevoked},
		{"{user_claim: sub}", revocation.Revocation{Selector: revocation.SelectUser, Issuer: "my-app", Value: "u1"}, reason.None},
		{"{user_claim: sub}", revocation.Revocation{Selector: revocation.SelectUser, Issuer: "my-app", Value: host}, reason.TokenRevoked},
		{"", revocation.Revocation{Selector: revocation.SelectKey, Issuer: "my-app", Value: "default"}, reason.TokenRevoked},
		{"", revocation.Revocation{Selector: revocation.SelectIssuer, Value: "my-app"}, reason.TokenRevoked},
		{"", revocation.Revocation{Selector: revocation.SelectRoom, Value: "daily"}, reason.TokenRevoked},
		{"", revocation.Revocation{Selector: revocation.SelectRoom, Value: daily}, reason.TokenRevoked},
		{"", revocation.Revocation{Selector: revocation.SelectRoom, Value: "other"}, reason.None},
		// issued_before spares what was issued at that moment.
		{"", revocation.Revocation{Selector: revocation.SelectIssuer, Value: "my-app", IssuedBefore: issued}, reason.None},
		{"", revocation.Revocation{Selector: revocation.SelectIssuer, Value: "my-app", IssuedBefore: issued.Add(time.Millisecond)}, reason.TokenRevoked},
	} {
		yaml := base
		if c.profile != "" {
			yaml = changed(t, "profile", "revocation: "+c.profile)
		}
		h := open(t, yaml)
		h.revoke(t, c.revoked)
		q := decide.Question{Token: raw, Stage: decide.Connect, Host: host}
		if v := h.ask(t, q); code(v) != c.want {
			t.Errorf("%s %s by %s: got %q, want %q", c.revoked.Selector, c.revoked.Value, c.profile, code(v), c.want)
		}
		if e := h.Explain(t.Context(), &q, now); e.Reason != c.want {
			t.Errorf("%s %s by %s: explain says %q, want %q", c.revoked.Selector, c.revoked.Value, c.profile, e.Reason, c.want)
		}
	}
	h := open(t, base)
	h.revoke(t, revocation.Revocation{Selector: revocation.SelectUser, Issuer: "my-app", Value: "old"})
	for _, c := range []struct {
		claims map[string]any
		want   reason.Code
	}{
		{good("context", nil, "user_id", "old"), reason.TokenRevoked},
		{good("user_id", "old"), reason.None}, // its context says who it is
	} {
		if v := h.ask(t, decide.Question{Token: signed(t, c.claims), Stage: decide.Connect}); code(v) != c.want {
			t.Errorf("%v: got %q, want %q", c.claims, code(v), c.want)
		}
	}
}

func TestDecide_WhatAKeyHasProvenGoesWithTheKey(t *testing.T) {
	ends := now.Add(30 * time.Minute)
	h := open(t, changed(t, `"}]`, `", not_after: `+ends.Format(time.RFC3339)+`}]`))
	q := decide.Question{Token: signed(t, good()), Stage: decide.Connect, Host: host}
	v := h.Decide(t.Context(), &q, now)
	if !v.Allow() {
		t.Fatal(v.Problem)
	}
	join := decide.Question{Grant: v.Proven.Grant(), Stage: decide.Join, Room: daily, Host: host}
	if v := h.Decide(t.Context(), &join, ends.Add(-time.Millisecond)); !v.Allow() {
		t.Errorf("before not_after the grant gets %+v", v)
	}
	if v := h.Decide(t.Context(), &join, ends); !v.NeedToken || v.Allow() || v.Profile != "default" {
		t.Errorf("at not_after the grant gets %+v", v)
	}
	if v := h.Decide(t.Context(), &q, ends); code(v) != reason.KeyNotFound {
		t.Errorf("at not_after the token gets %q", code(v))
	}
}

func TestDecide_WhatAKeyHasProvenIsVoidWhereKeysMove(t *testing.T) {
	cfg, _, err := config.Parse("usher.yaml", []byte(base), nil)
	if err != nil {
		t.Fatal(err)
	}
	ring := &asked{}
	use := func(secret string) {
		if ring.Keys, err = keys.Open(t.Context(), []config.KeySource{{Secret: config.Secret(secret)}}, keys.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(ring.Keys.(*keys.Ring).Close)
	}
	use(secret)
	h := &house{revocations: newRevocations()}
	h.Door, err = decide.New(cfg, decide.Options{
		Revocations: h.revocations, OpenKeys: func(*config.Issuer) (decide.Keys, error) { return ring, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	q := decide.Question{Token: signed(t, good()), Stage: decide.Connect}
	v := h.ask(t, q)
	if !v.Allow() {
		t.Fatal(v.Problem)
	}
	use("the secret that came in its place, as long")
	if v := h.ask(t, decide.Question{Grant: v.Proven.Grant(), Stage: decide.Join, Room: daily}); !v.NeedToken {
		t.Errorf("the grant gets %+v", v)
	}
	if v := h.ask(t, q); code(v) != reason.SignatureInvalid {
		t.Errorf("the token gets %q", code(v))
	}
}

// Nobody can say which algorithms an issuer has whose keys nobody could read: that is no word on the token.
func TestDecide_AnIssuerThatCannotBeAskedIsNoVerdictOnItsTokens(t *testing.T) {
	issuer := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(issuer.Close)
	key, _ := mint.SharedKey(token.ES256)
	raw, err := mint.Token(mint.Spec{Alg: token.ES256, Key: key, Kid: "k", Claims: good()})
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, changed(t, `[{secret: "`+secret+`"}]`, `[{secret: "`+secret+`"}, {jwks_url: "`+issuer.URL+`"}]`))
	if v := h.ask(t, decide.Question{Token: raw, Stage: decide.Connect}); code(v) != reason.KeyUnavailable {
		t.Errorf("got %q", code(v))
	}
}

func TestReplay_TheMarkIsOfTheIssuersJTIAndOutlastsTheToken(t *testing.T) {
	h := open(t, changed(t, "issuer", "replay: {jti: once, grace: 45s}", "issuer", "time: {require_exp: false, leeway: 20s}"))
	exp := now.Add(time.Hour)
	for _, c := range []struct {
		q      decide.Question
		claims map[string]any
		want   claimed
	}{
		{decide.Question{ID: "q1", Session: "s1", PreviousSession: "s0"}, good("jti", "a"),
			claimed{"my-app", "a", "s1", "s0", 45 * time.Second, exp.Add(20*time.Second + time.Minute)}},
		{decide.Question{ID: "q2"}, good("jti", "b", "exp", nil), claimed{"my-app", "b", "q2", "", 45 * time.Second, time.Time{}}},
	} {
		c.q.Token, c.q.Stage = signed(t, c.claims), decide.Connect
		v := h.ask(t, c.q)
		got := h.revocations.claimed
		if !v.Allow() || !got.until.Equal(c.want.until) {
			t.Errorf("%v: %v, until %v, want %v", c.claims, v.Problem, got.until, c.want.until)
		}
		if got.until = c.want.until; got != c.want {
			t.Errorf("claimed %+v, want %+v", got, c.want)
		}
	}
	h.revocations.claimsFail = true
	if v := h.ask(t, decide.Question{Token: signed(t, good("jti", "c")), Stage: decide.Connect}); code(v) != reason.RevocationUnavailable {
		t.Errorf("where no mark can be written: got %q", code(v))
	}
}

func TestProven_IsWhatTheTokenGives(t *testing.T) {
	h := open(t, changed(t, `"}]`, `", kid: k1}]`))
	room := map[string]any{"lobby": true, "password": "", "security_bypass": true}
	claims := good("context", map[string]any{"user": map[string]any{"id": "u1", "affiliation": "owner"}, "room": room})
	raw, err := mint.Token(mint.Spec{Alg: token.HS256, Key: secret, Kid: "k1", Claims: claims})
	if err != nil {
		t.Fatal(err)
	}
	v := h.ask(t, decide.Question{Token: raw, Stage: decide.Connect})
	if !v.Allow() || v.Profile != "default" || v.IssuerBlock != "my-app" {
		t.Fatalf("%+v", v)
	}
	on, none := true, ""
	p, fingerprint := v.Proven, token.Fingerprint([]byte(raw[:strings.LastIndexByte(raw, '.')]))
	if p.Algorithm != token.HS256 || p.KeyID != "k1" || p.Fingerprint != fingerprint || p.UserID != "u1" {
		t.Errorf("proven as %s, key %q, fingerprint %x, user %q", p.Algorithm, p.KeyID, p.Fingerprint, p.UserID)
	}
	if string(p.User) != `{"affiliation":"owner","id":"u1"}` || p.Affiliation != policy.Owner {
		t.Errorf("user %s is %s", p.User, p.Affiliation)
	}
	if want := (&policy.RoomPolicy{Lobby: &on, Password: &none, SecurityBypass: &on}); !reflect.DeepEqual(p.RoomPolicy, want) {
		t.Errorf("room policy %+v", p.RoomPolicy)
	}
	if want := now.Add(time.Hour).Unix(); p.ExpiresAt != want || p.RecheckAt != 0 {
		t.Errorf("expires at %d, want %d; to be asked again at %d", p.ExpiresAt, want, p.RecheckAt)
	}
}

func TestTold_IsInFullForATokenShortForAGrantAndNothingForADenyInEachForm(t *testing.T) {
	features := "features: {allow: [recording], default: {transcription: true}, force: {branding: false}}"
	cfg, _, err := config.Parse("usher.yaml", []byte(changed(t, "issuer", features)), nil)
	if err != nil {
		t.Fatal(err)
	}
	var given []policy.Feature
	h := &house{revocations: newRevocations()}
	h.Door, err = decide.New(cfg, decide.Options{
		Revocations: h.revocations,
		Encode: func(_ *decide.Proven, g *decide.Given, form decide.Form) (full, short []byte) {
			if form == 1 {
				return []byte("other full"), []byte("other short")
			}
			given = append(given, g.Features...)
			return []byte("full"), []byte("short")
		},
		OpenKeys: func(i *config.Issuer) (decide.Keys, error) { return keys.Open(t.Context(), i.Keys, keys.Options{}) },
	})
	if err != nil {
		t.Fatal(err)
	}
	claims := good("context", map[string]any{"features": map[string]any{"branding": true, "flip": true, "recording": true}})
	v := h.ask(t, decide.Question{Token: signed(t, claims), Stage: decide.Connect})
	if v.Proven.Notes() != nil {
		t.Errorf("before anything is told: notes %q", v.Proven.Notes())
	}
	if string(v.Told(1)) != "other full" || string(v.Told(0)) != "full" {
		t.Errorf("a token is told %q, %q", v.Told(0), v.Told(1))
	}
	if want := []policy.Feature{{Name: "branding"}, {Name: "flip"}, {Name: "recording", Granted: true}, {Name: "transcription", Granted: true}}; !reflect.DeepEqual(given, want) {
		t.Errorf("features are %v, want %v", given, want)
	}
	join := decide.Question{Grant: v.Proven.Grant(), Stage: decide.Join, Room: daily}
	if v := h.ask(t, join); string(v.Told(0)) != "short" || string(v.Told(1)) != "other short" {
		t.Errorf("a grant is told %q, %q", v.Told(0), v.Told(1))
	}
	join.Room = "other@conference.meet.example.com"
	if v := h.ask(t, join); v.Allow() || v.Told(0) != nil || v.Told(1) != nil {
		t.Errorf("a deny is told %q, %q", v.Told(0), v.Told(1))
	}
}

func TestNew_FailsWhereKeysCannotBeOpened(t *testing.T) {
	cfg, _, err := config.Parse("usher.yaml", []byte(base), nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no such file")
	_, err = decide.New(cfg, decide.Options{OpenKeys: func(*config.Issuer) (decide.Keys, error) { return nil, failed }})
	if !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

func TestDecide_ADetailIsShortAndEscapedWhateverTheTokenSays(t *testing.T) {
	h := open(t, base)
	long := strings.Repeat("x\u202e\n", 300)
	for _, claims := range []map[string]any{good("iss", long), good("aud", slices.Repeat([]string{long}, 200)), good("sub", long)} {
		v := h.ask(t, decide.Question{Token: signed(t, claims), Stage: decide.Connect})
		if v.Allow() || len(v.Problem.Detail) > 1024 || strings.ContainsAny(v.Problem.Detail, "\u202e\n") {
			t.Errorf("detail of %d bytes: %q", len(v.Problem.Detail), v.Problem.Detail)
		}
	}
}
