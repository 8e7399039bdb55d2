package keys

import (
	"context"
	"net/http"
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

// A kid that an issuer publishes, and at once uses, must not count as absent by an answer that is older than it is.
func TestSet_AKidThatIsPublishedWhileAFetchIsUnderWayIsAskedForAgain(t *testing.T) {
	a, b := member(newEd25519(), "kid", "a"), member(newEd25519(), "kid", "b")
	asked, release := make(chan struct{}), make(chan struct{})
	older, newer := answer(jwks(a)), answer(jwks(a, b))
	server := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) { close(asked); <-release; older(w, r) })
	r := ring(t, config.KeySource{JWKSURL: server.URL})
	<-asked
	server.say(newer)
	got := make(chan string, 1)
	go func() {
		id, detail := findAt(context.Background(), r, "b", token.EdDSA, time.Now())
		got <- id + detail
	}()
	s := r.remotes[0].(*set)
	until(t, "it waits", func() bool { return s.waiters() == 1 })
	close(release)
	if id := <-got; id != "b" {
		t.Errorf("got %s", id)
	}
	expect(t, r, "x", token.EdDSA, unavailableCode) // held back all the same
	if n := len(server.visits()); n != 2 {
		t.Errorf("%d fetches", n)
	}
}
