package keys

import (
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/token"
)

// A server may say that its keys hold for much longer than max_stale. They are asked for again before they are too old.
func TestRing_KeysOfAServerThatIsWellNeverGoStale(t *testing.T) {
	const maxStale = 600 * time.Millisecond
	set := newKeyServer(t, answer(jwks(member(newEd25519(), "kid", "a")), "Cache-Control", "max-age=3600"))
	asap := newKeyServer(t, newStore(map[string]string{"a": publicPEM(newEd25519())}, "max-age=3600").answer)
	for server, source := range map[*keyServer]config.KeySource{
		set:  {JWKSURL: set.URL, MaxStale: maxStale},
		asap: {ASAPURL: asap.URL, MaxStale: maxStale},
	} {
		r := openRing(t, quick(), nil, source)
		expect(t, r, "a", token.EdDSA, "a")
		before := r.Generation()
		until(t, "its key was asked for again, twice", func() bool { return len(server.visits()) > 2 })
		if r.Generation() != before {
			t.Errorf("keys went while their server was well: %+v", r.List())
		}
	}
}

func TestSet_TheOrderOfItsKeysSaysNothing(t *testing.T) {
	a, b, c := member(newEd25519(), "kid", "a"), member(newEd25519(), "kid", "b"), member(oneRSA())
	server := newKeyServer(t, answer(jwks(a, b, c)))
	r := openRing(t, quick(), nil, config.KeySource{JWKSURL: server.URL})
	r.Settle(t.Context())
	before := r.Generation()
	server.say(answer(jwks(c, b, a)))
	asked := len(server.visits())
	until(t, "it was asked again, twice", func() bool { return len(server.visits()) > asked+2 })
	if r.Generation() != before {
		t.Error("what the same keys have proven is void")
	}
	server.say(answer(jwks(c, a)))
	until(t, "a key that goes voids it", func() bool { return r.Generation() != before })
}
