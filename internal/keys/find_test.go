package keys

import (
	"crypto/elliptic"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/token"
)

func TestFind_ByKid(t *testing.T) {
	r := ring(t,
		config.KeySource{Secret: secretA, Kid: "a"},
		config.KeySource{Secret: secretB, Kid: "b"},
		config.KeySource{PEM: fileWith(t, publicPEM(oneRSA())), Kid: "c"},
	)
	expect(t, r, "a", token.HS256, "a")
	expect(t, r, "b", token.HS512, "b")
	expect(t, r, "c", token.PS384, "c")
	expect(t, r, "d", token.HS256, notFoundCode)
	expect(t, r, "", token.HS256, notFoundCode)
	k, _ := r.Find(t.Context(), "b", true, token.HS256, time.Now(), nobody)
	if string(k.Material.([]byte)) != secretB {
		t.Error("b is not the second secret")
	}
}

func TestFind_WithoutKidTheOnlyKeyThatFits(t *testing.T) {
	r := ring(t,
		config.KeySource{Secret: secretA, Kid: "a"},
		config.KeySource{PEM: fileWith(t, publicPEM(oneRSA())), Kid: "r"},
		config.KeySource{PEM: fileWith(t, publicPEM(newEC(elliptic.P256()))), Kid: "e"},
		config.KeySource{PEM: fileWith(t, publicPEM(newEC(elliptic.P384()))), Kid: "f"},
	)
	expect(t, r, "-", token.HS256, "a")
	expect(t, r, "-", token.RS512, "r")
	expect(t, r, "-", token.ES256, "e")
	expect(t, r, "-", token.ES384, "f")
	expect(t, r, "-", token.ES512, notAllowedCode)
	expect(t, r, "-", token.EdDSA, notAllowedCode)
}

func TestFind_WithoutKidTwoThatFitAreNone(t *testing.T) {
	r := ring(t, config.KeySource{Secret: secretA, Kid: "a"}, config.KeySource{Secret: secretB})
	id, detail := find(t, r, "-", token.HS256)
	if id != notFoundCode || !strings.Contains(detail, "two keys fit HS256") {
		t.Errorf("got %s, %s", id, detail)
	}
}

func TestFind_ASingleKeyWithoutKidServesTokensThatCarryOne(t *testing.T) {
	r := ring(t, config.KeySource{Secret: secretA})
	expect(t, r, "-", token.HS256, "default")
	expect(t, r, "whatever", token.HS256, "default")
	expect(t, r, "", token.HS256, "default")

	beside := ring(t, config.KeySource{Secret: secretA}, config.KeySource{Secret: secretB, Kid: "b"})
	expect(t, beside, "whatever", token.HS256, "default")
	expect(t, beside, "b", token.HS256, "b")
}

func TestFind_TwoKeysWithoutKidServeNoTokenThatCarriesOne(t *testing.T) {
	r := ring(t, config.KeySource{Secret: secretA}, config.KeySource{Secret: secretB})
	id, detail := find(t, r, "whatever", token.HS256)
	if id != notFoundCode || !strings.Contains(detail, "two keys without a kid") {
		t.Errorf("got %s, %s", id, detail)
	}
}

func TestFind_AKeyThatDoesNotFitIsAlgorithmNotAllowed(t *testing.T) {
	p256 := newEC(elliptic.P256())
	bound := jwks(member(oneRSA(), "kid", "bound", "alg", "RS256"), member(newEC(elliptic.P521()), "kid", "p521"))
	r := ring(t,
		config.KeySource{Secret: secretA, Kid: "secret"},
		config.KeySource{PEM: fileWith(t, publicPEM(p256)), Kid: "p256"},
		config.KeySource{JWKS: fileWith(t, bound)},
	)
	for _, c := range []struct {
		kid    string
		alg    token.Algorithm
		detail string
	}{
		{"secret", token.RS256, "shared secret"}, // a secret never serves RS
		{"bound", token.HS256, "RSA"},            // a public key never serves HS
		{"p256", token.HS256, "P-256"},
		{"p256", token.ES384, "P-256"}, // another curve
		{"p521", token.ES256, "P-521"},
		{"p256", token.EdDSA, "P-256"},
		{"bound", token.RS384, "published for RS256 alone"}, // its own alg
		{"bound", token.PS256, "published for RS256 alone"},
		{"-", token.PS256, "no key here serves PS256"}, // without a kid as well
	} {
		id, detail := find(t, r, c.kid, c.alg)
		if id != notAllowedCode || !strings.Contains(detail, c.detail) {
			t.Errorf("kid %s with %s: got %s, %s", c.kid, c.alg, id, detail)
		}
	}
	alone := ring(t, config.KeySource{PEM: fileWith(t, publicPEM(p256))})
	expect(t, alone, "-", token.HS256, notAllowedCode)
	expect(t, alone, "whatever", token.HS256, notAllowedCode)
}

func TestFind_AKeyPastItsEndCountsAsNotThere(t *testing.T) {
	end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	r := ring(t, config.KeySource{Secret: secretA, Kid: "old", NotAfter: end}, config.KeySource{Secret: secretB, Kid: "new"})
	before, at := end.Add(-time.Second), end

	if id, _ := findAt(t.Context(), r, "old", token.HS256, before); id != "old" {
		t.Errorf("before its end: %s", id)
	}
	id, detail := findAt(t.Context(), r, "old", token.HS256, at)
	if id != notFoundCode || !strings.Contains(detail, "ended at 2027-01-01T00:00:00Z") {
		t.Errorf("at its end: %s, %s", id, detail)
	}
	if id, _ := findAt(t.Context(), r, "-", token.HS256, before); id != notFoundCode {
		t.Errorf("two that fit: %s", id)
	}
	if id, detail := findAt(t.Context(), r, "-", token.HS256, at); id != "new" {
		t.Errorf("the only one left: %s, %s", id, detail)
	}
}

func TestFind_OneKidForTwoKeysChoosesTheOneThatFits(t *testing.T) {
	p256 := newEC(elliptic.P256())
	r := ring(t,
		config.KeySource{Secret: secretA, Kid: "x"},
		config.KeySource{PEM: fileWith(t, publicPEM(p256)), Kid: "x"},
		config.KeySource{JWKS: fileWith(t, jwks(member(p256, "kid", "x")))},
	)
	expect(t, r, "x", token.HS256, "x")
	expect(t, r, "x", token.ES256, "x") // one key, twice: no doubt which
	twice := ring(t, config.KeySource{Secret: secretA, Kid: "x"}, config.KeySource{Secret: secretB, Kid: "x"})
	expect(t, twice, "x", token.HS256, notFoundCode)
}

// A secret and a key of a set share a name while an issuer changes from the one to the other.
func TestFind_AKeyThatDoesNotFitIsNoVerdictWhileASetIsNotRead(t *testing.T) {
	server := newKeyServer(t, status(503))
	r := openRing(t, quick(), nil, config.KeySource{Secret: secretA, Kid: "x"}, config.KeySource{PEM: fileWith(t, publicPEM(oneRSA())), Kid: "r"}, config.KeySource{JWKSURL: server.URL})
	expect(t, r, "x", token.EdDSA, unavailableCode)
	expect(t, r, "x", token.HS256, "x")
	expect(t, r, "r", token.HS256, notAllowedCode) // no set brings a secret
	server.say(answer(jwks(member(newEd25519(), "kid", "x"))))
	until(t, "the key serves", func() bool { id, _ := find(t, r, "x", token.EdDSA); return id == "x" })
	expect(t, r, "x", token.RS256, notAllowedCode)
}

func TestFind_KidIsNeverAPath(t *testing.T) {
	r := ring(t, config.KeySource{Secret: secretA, Kid: "a"}, config.KeySource{Secret: secretB, Kid: "b"})
	for _, kid := range []string{"../a", "a\x00", "A", "a ", `"a"`, strings.Repeat("a", 5000)} {
		expect(t, r, kid, token.HS256, notFoundCode)
	}
}

func TestKey_IDNamesItInRevocations(t *testing.T) {
	ed := newEd25519()
	named := ring(t, config.KeySource{JWKS: fileWith(t, jwks(member(ed, "kid", "published")))})
	expect(t, named, "-", token.EdDSA, "published")

	bare := ring(t, config.KeySource{PEM: fileWith(t, publicPEM(ed))})
	id, _ := find(t, bare, "whatever", token.EdDSA)
	if len(id) != 43 {
		t.Errorf("want an RFC 7638 thumbprint, got %s", id)
	}
	if got := bare.List()[0].ID; got != id {
		t.Errorf("list shows %s, Find gives %s", got, id)
	}
}

// Otherwise a thief of the key gets past a revocation of its kid by leaving the kid out of the token.
func TestKey_WithoutKidSharesTheIDOfTheSameKeyWithOne(t *testing.T) {
	ed := newEd25519()
	r := ring(t,
		config.KeySource{PEM: fileWith(t, publicPEM(ed))},
		config.KeySource{JWKS: fileWith(t, jwks(member(ed, "kid", "published")))},
		config.KeySource{Secret: secretA},
		config.KeySource{Secret: secretA, Kid: "s"},
	)
	expect(t, r, "-", token.EdDSA, "published")
	expect(t, r, "whatever", token.EdDSA, "published")
	expect(t, r, "-", token.HS256, "s")
	for _, i := range r.List() {
		if i.ID != "published" && i.ID != "s" {
			t.Errorf("list shows %+v", i)
		}
	}
}

// Nor by naming the other kid of a key that was published under two, nor one that it was given since, nor one under which a
// key server gives it too. For the rest, a key server answers for each kid by itself.
func TestKey_KnowsEachNameUnderWhichItIsGiven(t *testing.T) {
	ed, ec, once := newEd25519(), newEC(elliptic.P256()), newEC(elliptic.P384())
	server := newKeyServer(t, newStore(map[string]string{
		"asap 1": publicPEM(oneRSA()), "asap 2": publicPEM(oneRSA()), "asap ec": publicPEM(ec), "asap once": publicPEM(once),
	}, "").answer)
	r := ring(t,
		config.KeySource{PEM: fileWith(t, publicPEM(ed)), Kid: "old"},
		config.KeySource{JWKS: fileWith(t, jwks(member(ed, "kid", "new"), member(newEd25519(), "kid", "other")))},
		config.KeySource{PEM: fileWith(t, publicPEM(ec))}, config.KeySource{PEM: fileWith(t, publicPEM(once)), Kid: "once"},
		config.KeySource{Secret: secretA}, config.KeySource{Secret: secretA, Kid: "s"}, config.KeySource{Secret: secretA, Kid: "t"},
		config.KeySource{ASAPURL: server.URL},
	)
	thumbprint, _ := find(t, r, "-", token.ES256)
	for _, c := range []struct {
		kid  string
		alg  token.Algorithm
		want []string
	}{
		{"old", token.EdDSA, []string{"old", "new"}}, {"new", token.EdDSA, []string{"old", "new"}}, {"other", token.EdDSA, nil},
		{"s", token.HS256, []string{"default", "s", "t"}}, {"", token.HS256, []string{"default", "s", "t"}},
		{"once", token.ES384, nil}, {"asap once", token.ES384, []string{"once"}}, {"once", token.ES384, nil},
		{"asap ec", token.ES256, []string{thumbprint}}, {"", token.ES256, []string{thumbprint}},
		{"asap 1", token.RS256, nil}, {"asap 2", token.RS256, nil},
	} {
		k, problem := r.Find(t.Context(), c.kid, c.kid != "", c.alg, time.Now(), nobody)
		if problem != nil || !slices.Equal(k.Names, c.want) {
			t.Errorf("%q: %+v, %v, want %q", c.kid, k, problem, c.want)
		}
	}
}

func TestRing_NamesTheKeysThatARevocationMayName(t *testing.T) {
	ed := newEd25519()
	files := []config.KeySource{{PEM: fileWith(t, publicPEM(ed)), Kid: "old"}, {JWKS: fileWith(t, jwks(member(ed, "kid", "new"), member(newEd25519(), "kid", "other")))}}
	elsewhere := newKeyServer(t, newStore(nil, "").answer)
	for _, c := range []struct {
		name  string
		more  []config.KeySource
		id    string
		names []string
		open  bool
	}{
		{"of two names", nil, "new", []string{"old", "new"}, false},
		{"of one name", nil, "other", []string{"other"}, false},
		{"that is not there", nil, "OTHER", nil, false},
		{"that a server may have", []config.KeySource{{ASAPURL: elsewhere.URL}}, "OTHER", nil, true},
		{"that a set may have which is not read", []config.KeySource{{JWKSURL: elsewhere.URL + "/none"}}, "OTHER", nil, true},
	} {
		if names, open := ring(t, append(files[:2:2], c.more...)...).Names(c.id); !slices.Equal(names, c.names) || open != c.open {
			t.Errorf("a key %s: %q, %v", c.name, names, open)
		}
	}
}

func TestFind_OfAKnownKeyAllocatesNothing(t *testing.T) {
	server := newKeyServer(t, answer(jwks(member(newEd25519(), "kid", "url"))))
	r := ring(t,
		config.KeySource{Secret: secretA, Kid: "a"},
		config.KeySource{PEM: fileWith(t, publicPEM(oneRSA()))},
		config.KeySource{JWKSURL: server.URL},
	)
	r.Settle(t.Context())
	ctx, now := t.Context(), time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		for _, c := range []struct {
			kid string
			alg token.Algorithm
		}{{"a", token.HS256}, {"", token.RS256}, {"url", token.EdDSA}, {"", token.EdDSA}} {
			if k, p := r.Find(ctx, c.kid, c.kid != "", c.alg, now, nobody); p != nil || k == nil {
				t.Fatal(p)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRing_DefaultAlgorithmsFollowTheKeys(t *testing.T) {
	bound := jwks(member(oneRSA(), "alg", "PS512"), member(newEd25519()))
	r := ring(t,
		config.KeySource{Secret: secretA},
		config.KeySource{PEM: fileWith(t, publicPEM(newEC(elliptic.P384())))},
		config.KeySource{JWKS: fileWith(t, bound)},
	)
	got := r.DefaultAlgorithms()
	want := []token.Algorithm{token.HS256, token.PS512, token.ES384, token.EdDSA}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	r, err := Open(b.Context(), []config.KeySource{{Secret: secretA, Kid: "a"}, {Secret: secretB, Kid: "b"}}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	ctx, now := b.Context(), time.Now()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, problem := r.Find(ctx, "b", true, token.HS256, now, nobody); problem != nil {
				b.Fatal(problem)
			}
		}
	})
}
