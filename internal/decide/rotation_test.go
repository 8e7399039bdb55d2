package decide_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/keys"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// jwks is a key set of public keys by their kid.
func jwks(t *testing.T, keys map[string]any) []byte {
	t.Helper()
	set := jwk.NewSet()
	for kid, public := range keys {
		key, err := jwk.FromRaw(public)
		if err == nil {
			err = key.Set(jwk.KeyIDKey, kid)
		}
		if err == nil {
			err = set.AddKey(key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Without algorithms in the config those of the keys count: also of a key that the issuer has only just published.
func TestDecide_AnIssuerMayGoOverToAnotherTypeOfKey(t *testing.T) {
	oldKey, oldPublic := mint.SharedKey(token.RS256)
	newKey, newPublic := mint.SharedKey(token.ES256)
	var published atomic.Pointer[[]byte]
	publish := func(set []byte) { published.Store(&set) }
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = w.Write(*published.Load())
	}))
	t.Cleanup(issuer.Close)
	ask := func(h *house, alg token.Algorithm, key any, kid string) reason.Code {
		raw, err := mint.Token(mint.Spec{Alg: alg, Key: key, Kid: kid, Claims: good()})
		if err != nil {
			t.Fatal(err)
		}
		return code(h.ask(t, decide.Question{Token: raw, Stage: decide.Connect}))
	}
	for name, c := range map[string]struct {
		algorithms string
		want       reason.Code
	}{
		"left out": {"", reason.None},
		"named":    {"\n        algorithms: [RS256]", reason.AlgorithmNotAllowed},
	} {
		publish(jwks(t, map[string]any{"old": oldPublic}))
		h := open(t, strings.Replace(base, `[{secret: "`+secret+`"}]`, `[{jwks_url: "`+issuer.URL+`"}]`+c.algorithms, 1))
		if got := ask(h, token.RS256, oldKey, "old"); got != reason.None {
			t.Fatalf("%s: the old key is refused: %s", name, got)
		}
		publish(jwks(t, map[string]any{"old": oldPublic, "new": newPublic}))
		if got := ask(h, token.ES256, newKey, "new"); got != c.want {
			t.Errorf("%s: the new key gets %q, want %q", name, got, c.want)
		}
		if got := ask(h, token.ES256, newKey, "old"); got != reason.AlgorithmNotAllowed {
			t.Errorf("%s: the new type under the old kid gets %q", name, got)
		}
	}
}

// A single key without a kid serves whatever kid a token names. It does so too where the issuer's URL, which might know that
// kid, has just been asked for one that somebody made up; only what it did not sign has to wait then.
func TestDecide_AKeyWithoutKidServesWhileItsSourceCannotBeAskedForOthers(t *testing.T) {
	key, public := mint.SharedKey(token.ES256)
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(jwks(t, map[string]any{"": public}))
	}))
	t.Cleanup(issuer.Close)
	h := open(t, strings.Replace(base, `[{secret: "`+secret+`"}]`, `[{jwks_url: "`+issuer.URL+`"}]`, 1))
	h.rings[0].Settle(t.Context())
	ask := func(key any, kid string) reason.Code {
		raw, err := mint.Token(mint.Spec{Alg: token.ES256, Key: key, Kid: kid, Claims: good()})
		if err != nil {
			t.Fatal(err)
		}
		return code(h.ask(t, decide.Question{Token: raw, Stage: decide.Connect}))
	}
	stranger := newES256(t)
	if got := ask(stranger, "made up"); got != reason.SignatureInvalid {
		t.Errorf("a stranger gets %q", got)
	}
	if got := ask(key, "one"); got != reason.None {
		t.Errorf("the key that is known gives %q", got)
	}
	if got := ask(stranger, "another"); got != reason.KeyUnavailable {
		t.Errorf("a signature by a key that may be new gives %q", got)
	}
}

// An algorithm that no key here has by default may be one of a key that cannot be asked for: that is no verdict on the token.
func TestDecide_AnAlgorithmOfAKeyThatCannotBeAskedForIsNotRefused(t *testing.T) {
	rsa, public := mint.SharedKey(token.RS256)
	ec, _ := mint.SharedKey(token.ES256)
	for _, c := range []struct {
		published string
		alg       token.Algorithm
		key       any
	}{
		{"old", token.ES256, ec},
		{"", token.RS512, rsa}, // the key without a kid fits, and serves all that nothing else is known for
	} {
		var down atomic.Bool
		issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if down.Load() {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			_, _ = w.Write(jwks(t, map[string]any{c.published: public}))
		}))
		t.Cleanup(issuer.Close)
		h := open(t, strings.Replace(base, `[{secret: "`+secret+`"}]`, `[{jwks_url: "`+issuer.URL+`"}]`, 1))
		h.rings[0].Settle(t.Context())
		for _, want := range []reason.Code{reason.KeyUnavailable, reason.AlgorithmNotAllowed} {
			down.Store(want == reason.KeyUnavailable)
			kid := "new"
			if want == reason.AlgorithmNotAllowed {
				kid = c.published // nobody need be asked
			}
			raw, err := mint.Token(mint.Spec{Alg: c.alg, Key: c.key, Kid: kid, Claims: good()})
			if err != nil {
				t.Fatal(err)
			}
			if got := code(h.ask(t, decide.Question{Token: raw, Stage: decide.Connect})); got != want {
				t.Errorf("%s with kid %q beside a key of kid %q gets %q, want %q", c.alg, kid, c.published, got, want)
			}
		}
	}
}

// Until the issuer's URL is read, any algorithm might be one of its keys'. The token that has it read is judged by what they
// turn out to be, as all after it are.
func TestDecide_TheFirstTokenIsJudgedByTheAlgorithmsOfTheKeysThatItWaitedFor(t *testing.T) {
	key, public := mint.SharedKey(token.RS256)
	var asked chan struct{}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-asked
		_, _ = w.Write(jwks(t, map[string]any{"k": public}))
	}))
	t.Cleanup(issuer.Close)
	for _, kid := range []string{"k", "another"} {
		raw, err := mint.Token(mint.Spec{Alg: token.RS512, Key: key, Kid: kid, Claims: good()})
		if err != nil {
			t.Fatal(err)
		}
		asked = make(chan struct{})
		h := open(t, strings.Replace(base, `[{secret: "`+secret+`"}]`, `[{jwks_url: "`+issuer.URL+`"}]`, 1))
		time.AfterFunc(50*time.Millisecond, func() { close(asked) })
		for _, which := range []string{"first", "second"} {
			if got := code(h.ask(t, decide.Question{Token: raw, Stage: decide.Connect})); got != reason.AlgorithmNotAllowed {
				t.Errorf("the %s token with kid %s gets %q", which, kid, got)
			}
		}
	}
}

// Whoever opens keys knows the rules that these replace, so that a key server which is down loses none.
func TestNew_ADoorKeepsNothingOfTheRulesBefore(t *testing.T) {
	cfg, _, err := config.Parse("usher.yaml", []byte(base), nil)
	if err != nil {
		t.Fatal(err)
	}
	opener := func(before *asked) func(*config.Issuer) (decide.Keys, error) {
		return func(i *config.Issuer) (_ decide.Keys, err error) {
			before.Keys, err = keys.Open(t.Context(), i.Keys, keys.Options{})
			return before.Keys, err
		}
	}
	before := &asked{}
	left := weak.Make(before)
	door, err := decide.New(cfg, decide.Options{OpenKeys: opener(before)})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; left.Value() != nil; n++ {
		if n == 10 {
			t.Fatal("each reload would cost the memory of all rules before it for good")
		}
		runtime.GC()
	}
	runtime.KeepAlive(door)
}

// asked is keys that remember for whom they were asked.
type asked struct {
	decide.Keys
	from []netip.Prefix
}

func (a *asked) Find(ctx context.Context, kid string, hasKid bool, alg token.Algorithm, now time.Time, from netip.Prefix) (*keys.Key, *reason.Problem) {
	a.from = append(a.from, from)
	return a.Keys.Find(ctx, kid, hasKid, alg, now, from)
}

func TestDecide_KeysAreToldWhoseTokenItIs(t *testing.T) {
	cfg, _, err := config.Parse("usher.yaml", []byte(base), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &asked{}
	door, err := decide.New(cfg, decide.Options{OpenKeys: func(i *config.Issuer) (_ decide.Keys, err error) {
		a.Keys, err = keys.Open(t.Context(), i.Keys, keys.Options{})
		return a, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{"2001:db8::7": "2001:db8::/64", "::ffff:198.51.100.7": "198.51.100.7/32", "": "invalid Prefix"} {
		raw := signed(t, good("exp", 1, "jti", address)) // for a deny nobody else is asked
		a.from = nil
		door.Decide(t.Context(), &decide.Question{Token: raw, Stage: decide.Connect, Host: host, RemoteIP: address}, now)
		if len(a.from) != 1 || a.from[0].String() != want {
			t.Errorf("%q: %v", address, a.from)
		}
	}
}

// A thief of a key that is published under two kids writes the one into his token that was not revoked.
func TestDecide_RevokingOneKidOfAKeyMeetsTokensThatNameAnother(t *testing.T) {
	h := open(t, strings.Replace(base, `[{secret: "`+secret+`"}]`, `[{secret: "`+secret+`", kid: old}, {secret: "`+secret+`", kid: new}]`, 1))
	for _, revoked := range []string{"old", "new"} {
		h.revocations.Index = revocation.NewIndex(0)
		h.revoke(t, revocation.Revocation{Selector: revocation.SelectKey, Issuer: "my-app", Value: revoked})
		for _, kid := range []string{"old", "new", ""} {
			raw, err := mint.Token(mint.Spec{Alg: token.HS256, Key: []byte(secret), Kid: kid, Claims: good()})
			if err != nil {
				t.Fatal(err)
			}
			if got := code(h.ask(t, decide.Question{Token: raw, Stage: decide.Connect})); got != reason.TokenRevoked {
				t.Errorf("with kid %s revoked a token with kid %q gets %q", revoked, kid, got)
			}
		}
	}
}

func newES256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
