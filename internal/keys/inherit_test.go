package keys

import (
	"runtime"
	"testing"
	"weak"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/token"
)

func TestOpen_AReloadWhileTheServersAreDownLosesNoKey(t *testing.T) {
	set := newKeyServer(t, answer(jwks(member(newEd25519(), "kid", "a")), "ETag", `"1"`))
	asap := newKeyServer(t, newStore(map[string]string{"b": publicPEM(oneRSA())}, "").answer)
	sources := []config.KeySource{{JWKSURL: set.URL}, {ASAPURL: asap.URL}, {Secret: secretA, Kid: "s"}}
	old := ring(t, sources...)
	old.Settle(t.Context())
	expect(t, old, "b", token.RS256, "b")

	set.say(status(500))
	asap.say(status(500))
	next, err := Open(t.Context(), sources, Options{Predecessors: []*Ring{old}})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	old.Close()
	for kid, alg := range map[string]token.Algorithm{"a": token.EdDSA, "b": token.RS256, "s": token.HS256} {
		expect(t, next, kid, alg, kid)
	}
	expect(t, next, "-", token.EdDSA, "a")
	next.Settle(t.Context())
	expect(t, next, "a", token.EdDSA, "a")
	expect(t, next, "y", token.RS256, unavailableCode)
	if next.Generation() == old.Generation() {
		t.Error("what rested on the old config counts for the new one")
	}
	if visits := set.visits(); visits[len(visits)-1].etag != `"1"` {
		t.Errorf("it was not asked whether the keys still hold: %+v", visits)
	}
}

// What a ring keeps of its opening must not keep the ring before it, which would keep the one before that: each reload
// would cost the memory of all its keys for good.
func TestOpen_AReloadLeavesNothingOfTheConfigBeforeLast(t *testing.T) {
	set := newKeyServer(t, answer(jwks(member(newEd25519(), "kid", "a"))))
	asap := newKeyServer(t, newStore(nil, "").answer)
	for name, source := range map[string]config.KeySource{
		"secret":      {Secret: secretA},
		"secret_file": {SecretFile: fileWith(t, secretA)},
		"pem":         {PEM: fileWith(t, publicPEM(oneRSA()))},
		"jwks":        {JWKS: fileWith(t, jwks(member(newEd25519(), "kid", "a")))},
		"jwks_url":    {JWKSURL: set.URL},
		"asap_url":    {ASAPURL: asap.URL},
	} {
		old, err := Open(t.Context(), []config.KeySource{source}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		left := weak.Make(old)
		next, err := Open(t.Context(), []config.KeySource{source}, Options{Predecessors: []*Ring{old}})
		if err != nil {
			t.Fatal(err)
		}
		old.Close()
		old = nil
		until(t, name+": the old ring is gone", func() bool { runtime.GC(); return left.Value() == nil })
		next.Close()
	}
}

func TestOpen_AReloadAsksAnewAndTakesNothingFromAnotherURL(t *testing.T) {
	a, b := member(newEd25519(), "kid", "a"), member(newEd25519(), "kid", "b")
	server := newKeyServer(t, answer(jwks(a)))
	old := ring(t, config.KeySource{JWKSURL: server.URL + "/one"})
	old.Settle(t.Context())
	server.say(answer(jwks(b)))
	for _, path := range []string{"/one", "/two"} {
		next, err := Open(t.Context(), []config.KeySource{{JWKSURL: server.URL + path}}, Options{Predecessors: []*Ring{old}})
		if err != nil {
			t.Fatal(err)
		}
		next.Settle(t.Context())
		expect(t, next, "b", token.EdDSA, "b")
		if id, _ := find(t, next, "a", token.EdDSA); id == "a" {
			t.Errorf("%s: the removed key serves", path)
		}
		next.Close()
	}
	server.say(status(500))
	for _, source := range []config.KeySource{{JWKSURL: server.URL + "/two"}, {CertsURL: server.URL + "/one"}} {
		next, err := Open(t.Context(), []config.KeySource{source}, Options{Predecessors: []*Ring{old}})
		if err != nil {
			t.Fatal(err)
		}
		next.Settle(t.Context())
		expect(t, next, "a", token.EdDSA, unavailableCode)
		next.Close()
	}
}
