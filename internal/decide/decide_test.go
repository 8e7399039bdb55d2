package decide_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/keys"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

var now = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

const (
	secret = "a secret that is long enough for HS256"
	host   = "meet.example.com"
	daily  = "daily@conference.meet.example.com"
)

const base = `
profiles:
  default:
    issuers:
      - iss: my-app
        keys: [{secret: "` + secret + `"}]
        audiences: [jitsi]
`

// revocations is a list of revoked jtis and of marks, in place of a store: what stores do is tested with the stores.
type revocations struct {
	*revocation.Index
	rules      revocation.Rules // that were last asked by
	down       bool
	marks      map[string]string // jti to owner
	age        time.Duration
	claimed    claimed // last
	claimsFail bool
}

type claimed struct {
	issuer, jti, owner, previous string
	grace                        time.Duration
	until                        time.Time
}

func newRevocations() *revocations {
	return &revocations{Index: revocation.NewIndex(0), marks: map[string]string{}}
}

func (r *revocations) Judge(_ context.Context, m *revocation.Marks, rules revocation.Rules, now time.Time) (string, *reason.Problem) {
	if r.rules = rules; r.down {
		return "", &reason.Problem{Code: reason.RevocationUnavailable}
	}
	if id, revoked := r.Check(m, now.UnixMilli()); revoked {
		return id, &reason.Problem{Code: reason.TokenRevoked}
	}
	return "", nil
}

func (r *revocations) FeedKeys(names []revocation.Name, m *revocation.Marks) []revocation.Name {
	return append(names, revocation.Name([]byte("abcdefghijkl")))
}

func (r *revocations) Claim(_ context.Context, issuer, jti, owner, previous string, grace time.Duration, until time.Time) (revocation.Claim, error) {
	if r.claimed = (claimed{issuer, jti, owner, previous, grace, until}); r.claimsFail {
		return revocation.Claim{}, errors.New("down")
	}
	switch first, known := r.marks[jti]; {
	case !known:
		r.marks[jti] = owner
		return revocation.Claim{First: true, Owner: owner}, nil
	case first == previous && previous != "":
		r.marks[jti] = owner
	}
	return revocation.Claim{Owner: r.marks[jti], Age: r.age}, nil
}

// house is a Door with everything around it.
type house struct {
	*decide.Door
	revocations *revocations
	rings       []*keys.Ring
}

func open(t *testing.T, yaml string) *house {
	t.Helper()
	cfg, _, err := config.Parse("usher.yaml", []byte(yaml), nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{revocations: newRevocations()}
	h.Door, err = decide.New(cfg, decide.Options{
		Revocations: h.revocations,
		Encode:      func(*decide.Proven, *decide.Given, decide.Form) (full, short []byte) { return nil, nil },
		OpenKeys: func(i *config.Issuer) (decide.Keys, error) {
			ring, err := keys.Open(t.Context(), i.Keys, keys.Options{AllowShortSecret: i.AllowShortSecret})
			if err == nil {
				h.rings = append(h.rings, ring)
				t.Cleanup(ring.Close)
			}
			return ring, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) revoke(t *testing.T, r revocation.Revocation) {
	t.Helper()
	r, err := revocation.Prepare(r, now)
	if err != nil {
		t.Fatal(err)
	}
	h.revocations.Put(r.Entry())
}

// good are the claims of a token that opens the daily room.
func good(changes ...any) map[string]any {
	claims := map[string]any{
		"iss": "my-app", "aud": "jitsi", "sub": host, "room": "daily",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "context": map[string]any{"user": map[string]any{"id": "u1"}},
	}
	for n := 0; n < len(changes); n += 2 {
		if changes[n+1] == nil {
			delete(claims, changes[n].(string))
			continue
		}
		claims[changes[n].(string)] = changes[n+1]
	}
	return claims
}

func signed(t *testing.T, claims map[string]any) string {
	t.Helper()
	raw, err := mint.Token(mint.Spec{Alg: token.HS256, Key: secret, Claims: claims})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (h *house) ask(t *testing.T, q decide.Question) decide.Verdict {
	t.Helper()
	if q.Host == "" {
		q.Host = host
	}
	return h.Decide(t.Context(), &q, now)
}

func code(v decide.Verdict) reason.Code {
	if v.Problem == nil {
		return reason.None
	}
	return v.Problem.Code
}

func TestDecide_EachCheckNamesItsReason(t *testing.T) {
	h := open(t, base)
	other, err := mint.Token(mint.Spec{Alg: token.HS256, Key: "another secret that is long enough too", Claims: good()})
	if err != nil {
		t.Fatal(err)
	}
	rs, _ := mint.SharedKey(token.RS256)
	wrongAlg, err := mint.Token(mint.Spec{Alg: token.RS256, Key: rs, Claims: good()})
	if err != nil {
		t.Fatal(err)
	}
	none, err := mint.Token(mint.Spec{Alg: token.HS256, Key: secret, Claims: good(), Header: map[string]any{"alg": "none"}})
	if err != nil {
		t.Fatal(err)
	}
	ms := good("exp", now.Add(time.Hour).UnixMilli(), "nbf", now.Add(-time.Hour).UnixMilli())
	join := func(raw, room string) decide.Question {
		return decide.Question{Token: raw, Stage: decide.Join, Room: room}
	}
	for name, c := range map[string]struct {
		q    decide.Question
		want reason.Code
	}{
		"allowed":               {join(signed(t, good()), daily), reason.None},
		"milliseconds":          {join(signed(t, ms), daily), reason.None},
		"milliseconds, expired": {join(signed(t, good("exp", now.Add(-time.Hour).UnixMilli())), daily), reason.TokenExpired},
		"upper case room":       {join(signed(t, good("room", "DAILY")), daily), reason.None},
		"wildcard room":         {join(signed(t, good("room", "*")), daily), reason.None},
		"guest":                 {decide.Question{Stage: decide.Connect}, reason.TokenMissing},
		"unknown profile":       {decide.Question{Token: signed(t, good()), Stage: decide.Connect, Profile: "nobody"}, reason.ProfileUnknown},
		"garbage":               {join("garbage", daily), reason.TokenMalformed},
		"too large":             {join(strings.Repeat("a", 9000), daily), reason.TokenTooLarge},
		"issuer":                {join(signed(t, good("iss", "other")), daily), reason.IssuerNotAllowed},
		"no issuer":             {join(signed(t, good("iss", nil)), daily), reason.IssuerNotAllowed},
		"algorithm":             {join(wrongAlg, daily), reason.AlgorithmNotAllowed},
		"no algorithm":          {join(none, daily), reason.AlgorithmNotAllowed},
		"signature":             {join(other, daily), reason.SignatureInvalid},
		"expired":               {join(signed(t, good("exp", now.Add(-time.Minute).Unix())), daily), reason.TokenExpired},
		"no exp":                {join(signed(t, good("exp", nil)), daily), reason.ClaimMissing},
		"not yet":               {join(signed(t, good("nbf", now.Add(time.Minute).Unix())), daily), reason.TokenNotYetValid},
		"audience":              {join(signed(t, good("aud", "other")), daily), reason.AudienceNotAllowed},
		"audience of several":   {join(signed(t, good("aud", []string{"other", "jitsi"})), daily), reason.None},
		"no audience":           {join(signed(t, good("aud", nil)), daily), reason.AudienceNotAllowed},
		"no subject":            {join(signed(t, good("sub", nil)), daily), reason.SubjectMissing},
		"subject":               {join(signed(t, good("sub", "other.example.com")), daily), reason.SubjectNotAllowed},
		"other room":            {join(signed(t, good()), "other@conference.meet.example.com"), reason.RoomMismatch},
		"no room claim":         {join(signed(t, good("room", nil)), daily), reason.RoomClaimMissing},
		"other MUC domain":      {join(signed(t, good()), "daily@conference.other.example.com"), reason.TenantMismatch},
		"no room":               {join(signed(t, good()), "@"), reason.RoomInvalid},
		"opening a room":        {decide.Question{Token: signed(t, good()), Stage: decide.Create, Room: daily}, reason.RoomDoesNotExist},
		"room of the URL":       {decide.Question{Token: signed(t, good()), Stage: decide.Connect, Room: "other@conference.meet.example.com"}, reason.None},
	} {
		if v := h.ask(t, c.q); code(v) != c.want {
			t.Errorf("%s: got %q (%v), want %q", name, code(v), v.Problem, c.want)
		}
	}
}

// Two things wrong: the earlier check is reported, so that nothing an unproven token claims is believed.
func TestDecide_TheFirstFailingCheckIsReported(t *testing.T) {
	h := open(t, base)
	wrong := []struct {
		name   string
		change []any
		want   reason.Code
	}{
		{"iss", []any{"iss", "other"}, reason.IssuerNotAllowed},
		{"exp", []any{"exp", now.Add(-time.Hour).Unix()}, reason.TokenExpired},
		{"aud", []any{"aud", "other"}, reason.AudienceNotAllowed},
		{"sub", []any{"sub", "other"}, reason.SubjectNotAllowed},
		{"room", []any{"room", "other"}, reason.RoomMismatch},
	}
	for n, first := range wrong {
		claims := good()
		for _, w := range wrong[n:] {
			maps.Copy(claims, map[string]any{w.change[0].(string): w.change[1]})
		}
		v := h.ask(t, decide.Question{Token: signed(t, claims), Stage: decide.Join, Room: daily})
		if code(v) != first.want {
			t.Errorf("from %s on: got %q, want %q", first.name, code(v), first.want)
		}
	}
}

func TestDecide_AGoodTokenDoesNotVouchForItsOtherSignatures(t *testing.T) {
	h := open(t, base)
	raw := signed(t, good())
	if v := h.ask(t, decide.Question{Token: raw, Stage: decide.Connect}); !v.Allow() {
		t.Fatal(v.Problem)
	}
	last := strings.LastIndexByte(raw, '.') + 1
	for _, forged := range []string{raw[:last], raw[:last] + strings.Repeat("A", len(raw)-last), raw[:last] + "B" + raw[last+1:]} {
		if v := h.ask(t, decide.Question{Token: forged, Stage: decide.Connect}); v.Allow() {
			t.Fatalf("a forged signature was let in behind a good one")
		}
	}
}

const twoProfiles = base + `  other:
    issuers:
      - iss: my-app
        keys: [{secret: "the other profile has another secret"}]
        audiences: [jitsi]
`

func TestDecide_ATokenProvenInOneProfileIsProvenInNoOther(t *testing.T) {
	h := open(t, twoProfiles)
	raw := signed(t, good())
	for range 2 {
		if v := h.ask(t, decide.Question{Token: raw, Stage: decide.Connect}); !v.Allow() {
			t.Fatal(v.Problem)
		}
		if v := h.ask(t, decide.Question{Token: raw, Stage: decide.Connect, Profile: "other"}); code(v) != reason.SignatureInvalid {
			t.Fatalf("got %q", code(v))
		}
	}
}

func TestGrant_StandsForTheTokenOnItsOwnHostAlone(t *testing.T) {
	h := open(t, twoProfiles)
	v := h.ask(t, decide.Question{Token: signed(t, good()), Stage: decide.Connect})
	if !v.Allow() || v.Proven.Grant() == "" || !v.Full {
		t.Fatalf("%+v", v)
	}
	join := decide.Question{Grant: v.Proven.Grant(), Stage: decide.Join, Room: daily}
	if v := h.ask(t, join); !v.Allow() || v.Full {
		t.Fatalf("the grant's own host is refused: %+v", v)
	}
	for name, q := range map[string]decide.Question{
		"another host":       {Grant: join.Grant, Stage: decide.Join, Room: daily, Host: "jigasi.example.com"},
		"another profile":    {Grant: join.Grant, Stage: decide.Join, Room: daily, Profile: "other"},
		"a made-up grant":    {Grant: strings.Repeat("A", 43), Stage: decide.Join, Room: daily},
		"no grant at all":    {Grant: "x", Stage: decide.Join, Room: daily},
		"more than a grant":  {Grant: join.Grant + join.Grant, Stage: decide.Join, Room: daily},
		"a changed grant":    {Grant: otherFirst(join.Grant), Stage: decide.Join, Room: daily},
		"a line break in it": {Grant: join.Grant[:20] + "\n" + join.Grant[20:42], Stage: decide.Join, Room: daily},
		"the other spelling": {Grant: join.Grant[:42] + flipLast(join.Grant[42]), Stage: decide.Join, Room: daily},
	} {
		if v := h.ask(t, q); !v.NeedToken {
			t.Errorf("%s: got %+v", name, v)
		}
	}
}

// otherFirst changes the first base64 character of s, whatever it is.
func otherFirst(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

// flipLast changes the unused bits of the last base64 character.
func flipLast(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

func TestGrant_IsJudgedAfreshEachTime(t *testing.T) {
	h := open(t, base)
	v := h.ask(t, decide.Question{Token: signed(t, good("jti", "t1")), Stage: decide.Connect})
	join := decide.Question{Grant: v.Proven.Grant(), Stage: decide.Join, Room: daily, Host: host}
	if v := h.Decide(t.Context(), &join, now.Add(2*time.Hour)); code(v) != reason.TokenExpired {
		t.Errorf("expired: got %q", code(v))
	}
	h.revoke(t, revocation.Revocation{Selector: revocation.SelectJTI, Issuer: "my-app", Value: "t1"})
	if v := h.ask(t, join); code(v) != reason.TokenRevoked || v.RevocationID == "" {
		t.Errorf("revoked: got %+v", v)
	}
}

func TestRecheck_ARunOutTokenStaysUnlessTheProfileCloses(t *testing.T) {
	for _, c := range []struct {
		policy string
		after  time.Duration
		want   reason.Code
	}{
		{"keep", 5 * time.Hour, reason.None},
		{"close", time.Hour + 39*time.Second, reason.None},         // within 10 s of leeway and 30 s of grace
		{"close", time.Hour + 40*time.Second, reason.TokenExpired}, // when it is to be asked again
	} {
		h := open(t, strings.Replace(base, "    issuers:", "    on_expiry: "+c.policy+"\n    on_expiry_grace: 30s\n    issuers:", 1))
		v := h.ask(t, decide.Question{Token: signed(t, good()), Stage: decide.Connect})
		if close := c.policy == "close"; close != (v.Proven.RecheckAt == now.Add(time.Hour+40*time.Second).Unix()) {
			t.Errorf("%s: recheck_at is %d", c.policy, v.Proven.RecheckAt)
		}
		if v.Proven.ExpiresAt != now.Add(time.Hour).Unix() {
			t.Errorf("%s: expires_at is %d, and not the token's exp", c.policy, v.Proven.ExpiresAt)
		}
		q := decide.Question{Grant: v.Proven.Grant(), Stage: decide.Recheck, Room: daily, Host: host}
		if v := h.Decide(t.Context(), &q, now.Add(c.after)); code(v) != c.want {
			t.Errorf("%s after %v: got %q, want %q", c.policy, c.after, code(v), c.want)
		}
	}
}

func TestExplain_AgreesWithDecideOnTokensThatRanOut(t *testing.T) {
	for _, policy := range []string{"keep", "close"} {
		h := open(t, strings.Replace(base, "    issuers:", "    on_expiry: "+policy+"\n    on_expiry_grace: 30s\n    issuers:", 1))
		for _, stage := range []decide.Stage{decide.Join, decide.Recheck} {
			for _, after := range []time.Duration{time.Hour, time.Hour + 20*time.Second, time.Hour + 45*time.Second} {
				q := decide.Question{Token: signed(t, good()), Stage: stage, Room: daily, Host: host}
				v, e := h.Decide(t.Context(), &q, now.Add(after)), h.Explain(t.Context(), &q, now.Add(after))
				if code(v) != e.Reason {
					t.Errorf("%s, %s after %v: decide says %q, explain %q", policy, stage, after, code(v), e.Reason)
				}
			}
		}
	}
}

func TestGuest_IsLetInByTheConfigAlone(t *testing.T) {
	h := open(t, strings.Replace(base, "    issuers:", "    guests: allow\n    rooms: {create: allow}\n    issuers:", 1))
	for name, c := range map[string]struct {
		q    decide.Question
		want reason.Code
	}{
		"connects":                      {decide.Question{Stage: decide.Connect}, reason.None},
		"joins":                         {decide.Question{Stage: decide.Join, Room: daily}, reason.None},
		"not what is no room":           {decide.Question{Stage: decide.Join, Room: "daily"}, reason.RoomInvalid},
		"opens no room":                 {decide.Question{Stage: decide.Create, Room: daily}, reason.RoomDoesNotExist},
		"not where the room wants more": {decide.Question{Stage: decide.Join, Room: daily, RoomRequiresAuth: true}, reason.AuthenticationRequired},
		"a bad token is no guest":       {decide.Question{Token: "x", Stage: decide.Connect}, reason.TokenMalformed},
	} {
		v := h.ask(t, c.q)
		if code(v) != c.want || v.Proven != nil {
			t.Errorf("%s: got %q, want %q", name, code(v), c.want)
		}
	}
}

func TestTenant_MismatchIsFlaggedAndRefusedWhereTheRoomAsks(t *testing.T) {
	h := open(t, base)
	raw := signed(t, good("context", map[string]any{"tenant": "acme"}))
	for _, c := range []struct {
		tenant   string
		auth     bool
		mismatch bool
		want     reason.Code
	}{
		{"acme", true, false, reason.None},
		{"ACME", true, false, reason.None},
		{"globex", false, true, reason.None},
		{"globex", true, true, reason.AuthenticationRequired},
	} {
		v := h.ask(t, decide.Question{Token: raw, Stage: decide.Join, Room: daily, Tenant: c.tenant, RoomRequiresAuth: c.auth})
		if code(v) != c.want || v.TenantMismatch != c.mismatch {
			t.Errorf("%+v: got %q, %v", c, code(v), v.TenantMismatch)
		}
	}
	h = open(t, strings.Replace(base, "    issuers:", "    rooms: {verify_domain: false}\n    issuers:", 1))
	q := decide.Question{Token: raw, Stage: decide.Join, Room: daily, Tenant: "globex", RoomRequiresAuth: true}
	if v := h.ask(t, q); code(v) != reason.None || v.TenantMismatch {
		t.Errorf("where domains are not verified: got %q, %v", code(v), v.TenantMismatch)
	}
}

func TestReplay_AJTIConnectsOnceAndADenyBurnsNone(t *testing.T) {
	h := open(t, base+"        replay: {jti: once, grace: 60s}\n")
	connect := func(jti, session, previous string) decide.Question {
		return decide.Question{Token: signed(t, good("jti", jti)), Stage: decide.Connect, Session: session, PreviousSession: previous}
	}
	denied := connect("a", "s0", "")
	denied.Token = signed(t, good("jti", "a", "aud", "other"))
	if h.ask(t, denied); len(h.revocations.marks) != 0 {
		t.Fatal("a denied token burnt its jti")
	}
	if v := h.ask(t, connect("a", "s1", "")); !v.Allow() {
		t.Fatal(v.Problem)
	}
	h.revocations.age = 10 * time.Second
	if v := h.ask(t, connect("a", "s2", "")); !v.Allow() {
		t.Error("refused within the grace")
	}
	h.revocations.age = 2 * time.Minute
	if v := h.ask(t, connect("a", "s3", "")); code(v) != reason.TokenReplayed {
		t.Errorf("replayed: got %q", code(v))
	}
	if v := h.ask(t, connect("a", "s4", "s1")); !v.Allow() {
		t.Errorf("resumption is refused: %v", v.Problem)
	}
	if v := h.ask(t, connect("a", "s4", "s1")); !v.Allow() {
		t.Errorf("a question asked again is refused: %v", v.Problem)
	}
	if v := h.ask(t, connect("a", "", "")); code(v) != reason.TokenReplayed {
		t.Errorf("without a session: got %q", code(v))
	}
	join := connect("a", "s5", "")
	join.Stage, join.Room = decide.Join, daily
	if v := h.ask(t, join); !v.Allow() {
		t.Errorf("a join counts as a connect: %v", v.Problem)
	}
	if v := h.ask(t, decide.Question{Token: signed(t, good()), Stage: decide.Connect}); code(v) != reason.ClaimMissing {
		t.Errorf("without jti: got %q", code(v))
	}
	h.revocations.down = true
	if v := h.ask(t, connect("b", "s6", "")); code(v) != reason.RevocationUnavailable {
		t.Errorf("store down: got %q", code(v))
	}
}

func TestExplain_ShowsEveryCheckAndAgreesWithDecide(t *testing.T) {
	h := open(t, base)
	names := "shape issuer algorithm key signature time audience subject claims revocation replay room"
	for _, claims := range []map[string]any{good(), good("aud", "other", "exp", now.Add(-time.Hour).Unix()), good("iss", "x"), good("room", "x")} {
		q := decide.Question{Token: signed(t, claims), Stage: decide.Join, Room: daily, Host: host}
		e := h.Explain(t.Context(), &q, now)
		var got []string
		for _, c := range e.Checks {
			got = append(got, c.Name)
			if c.Result == decide.Failed && c.Reason == "" || c.Config == "" && c.Result != decide.Skipped {
				t.Errorf("check says too little: %+v", c)
			}
		}
		if strings.Join(got, " ") != names {
			t.Errorf("checks are %v", got)
		}
		if v := h.Decide(t.Context(), &q, now); code(v) != e.Reason || v.Allow() != e.Allow {
			t.Errorf("explain says %q, decide %q", e.Reason, code(v))
		}
	}
	if e := h.Explain(t.Context(), &decide.Question{Token: "x", Stage: decide.Connect, Host: host}, now); e.Allow || e.Reason != reason.TokenMalformed {
		t.Errorf("garbage: %+v", e)
	}
}
