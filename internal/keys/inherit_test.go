package keys

import (
	"testing"

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
}
