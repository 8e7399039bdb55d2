package keys

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
)

func TestSet_ATokenThatComesBeforeTheFirstAnswerWaitsForIt(t *testing.T) {
	release := make(chan struct{})
	good := answer(jwks(member(newEd25519(), "kid", "a")))
	server := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) { <-release; good(w, r) })
	r := ring(t, config.KeySource{JWKSURL: server.URL})
	if got := r.DefaultAlgorithms(); len(got) != 10 {
		t.Errorf("before the answer any public-key algorithm may come; got %v", got)
	}
	got := make(chan string, 2)
	for _, kid := range []string{"a", "-"} {
		go func() {
			id, _ := findAt(t.Context(), r, kid, token.EdDSA, time.Now())
			got <- id
		}()
	}
	close(release)
	if first, second := <-got, <-got; first != "a" || second != "a" {
		t.Errorf("got %s and %s", first, second)
	}
	if n := len(server.visits()); n != 1 {
		t.Errorf("%d fetches", n)
	}
	if got := r.DefaultAlgorithms(); len(got) != 1 || got[0] != token.EdDSA {
		t.Errorf("then they follow the keys; got %v", got)
	}
}

func TestSet_ASourceThatIsDownAtStartDelaysNothingAndMendsItself(t *testing.T) {
	server := newKeyServer(t, status(503))
	r := openRing(t, quick(), nil, config.KeySource{JWKSURL: server.URL}, config.KeySource{Secret: secretA, Kid: "s"})
	expect(t, r, "s", token.HS256, "s")
	expect(t, r, "a", token.EdDSA, unavailableCode)
	expect(t, r, "-", token.EdDSA, unavailableCode)
	alone := openRing(t, quick(), nil, config.KeySource{JWKSURL: server.URL})
	expect(t, alone, "-", token.HS256, notFoundCode) // no URL brings a secret
	if text := errorsOf(r); !strings.Contains(text, "503") {
		t.Errorf("list shows %q", text)
	}
	server.say(answer(jwks(member(newEd25519(), "kid", "a"))))
	until(t, "the key serves", func() bool { id, _ := find(t, r, "a", token.EdDSA); return id == "a" })
	if text := errorsOf(r); text != "" {
		t.Errorf("list still shows %s", text)
	}
}

func TestSet_AServerThatHangsNeverDelaysKnownKeys(t *testing.T) {
	server := newKeyServer(t, answer(jwks(member(newEd25519(), "kid", "a")), "Cache-Control", "max-age=0"))
	p := quick()
	p.wait = time.Hour
	r := openRing(t, p, nil, config.KeySource{JWKSURL: server.URL})
	r.Settle(t.Context())
	server.say(hang)
	asked := len(server.visits())
	until(t, "a fetch hangs", func() bool { return len(server.visits()) > asked })

	mustNotWait(t, r, "a", token.EdDSA)
	mustNotWait(t, r, "-", token.EdDSA)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if id, detail := findAt(ctx, r, "unknown", token.EdDSA, time.Now()); id != unavailableCode {
		t.Errorf("an unknown kid: got %s, %s", id, detail)
	}
}

// mustNotWait finds a key for somebody who has no time at all.
func mustNotWait(t *testing.T, r *Ring, kid string, alg token.Algorithm) {
	t.Helper()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if id, detail := findAt(over, r, kid, alg, time.Now()); id != "a" {
		t.Errorf("kid %s with %s was waited for: got %s (%s)", kid, alg, id, detail)
	}
}

// Each of these ended the process, stopped the refresh for good, or made it loop, in what is in use today.
func TestSet_ABrokenCacheControlNeitherStopsNorLoops(t *testing.T) {
	for _, header := range []string{"=", "max-age=", "a=,b", "max-age=0", "max-age=-1", "no-store", "max-age=1e9", "max-age=99999999999999999999", ""} {
		t.Run(header, func(t *testing.T) {
			p := quick()
			p.maxFresh = 40 * time.Millisecond
			ed := newEd25519()
			server := newKeyServer(t, answer(jwks(member(ed, "kid", "a")), "Cache-Control", header))
			r := openRing(t, p, nil, config.KeySource{JWKSURL: server.URL})
			until(t, "it was asked again and again", func() bool { return len(server.visits()) >= 4 })
			visits := server.visits()
			if d := visits[3].at.Sub(visits[0].at); d < 3*p.minFresh/2 {
				t.Errorf("4 fetches within %s", d)
			}
			expect(t, r, "a", token.EdDSA, "a")
		})
	}
}

func TestSet_AsksWhetherItsKeysStillHold(t *testing.T) {
	set := answer(jwks(member(newEd25519(), "kid", "a")), "ETag", `"1"`, "Cache-Control", "max-age=0")
	server := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == `"1"` {
			w.Header().Set("Cache-Control", "max-age=0")
			w.WriteHeader(http.StatusNotModified)
			return
		}
		set(w, r)
	})
	r := openRing(t, quick(), nil, config.KeySource{JWKSURL: server.URL})
	r.Settle(t.Context())
	before, fetched := r.Generation(), r.List()[0].FetchedAt
	until(t, "it was asked three times", func() bool { return len(server.visits()) >= 3 })
	visits := server.visits()
	if visits[0].etag != "" || visits[1].etag != `"1"` || visits[2].etag != `"1"` {
		t.Errorf("asked with %+v", visits)
	}
	expect(t, r, "a", token.EdDSA, "a")
	if r.Generation() != before {
		t.Error("the generation moved though nothing changed")
	}
	until(t, "the age follows", func() bool { return r.List()[0].FetchedAt.After(fetched) })
}

func TestSet_AKeyRemovedAtTheSourceStopsWorkingAtTheNextRefresh(t *testing.T) {
	a, b := member(newEd25519(), "kid", "a"), member(newEd25519(), "kid", "b")
	server := newKeyServer(t, answer(jwks(a), "Cache-Control", "max-age=0"))
	r := openRing(t, quick(), nil, config.KeySource{JWKSURL: server.URL})
	r.Settle(t.Context())
	expect(t, r, "a", token.EdDSA, "a")
	before := r.Generation()
	server.say(answer(jwks(b), "Cache-Control", "max-age=0"))
	until(t, "the generation has moved", func() bool { return r.Generation() != before })
	if id, _ := find(t, r, "a", token.EdDSA); id != notFoundCode && id != unavailableCode {
		t.Errorf("the removed key: %s", id)
	}
	expect(t, r, "b", token.EdDSA, "b")
}

func TestSet_ANewKidIsFetchedWhenATokenFirstNamesIt(t *testing.T) {
	a, b := member(newEd25519(), "kid", "a"), member(newEd25519(), "kid", "b")
	server := newKeyServer(t, answer(jwks(a), "Cache-Control", "max-age=3600"))
	r := ring(t, config.KeySource{JWKSURL: server.URL})
	expect(t, r, "a", token.EdDSA, "a")
	server.say(answer(jwks(a, b)))
	expect(t, r, "b", token.EdDSA, "b")
	if n := len(server.visits()); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

func TestSet_AnUnknownKidIsRememberedAndTheNextOneHeldBack(t *testing.T) {
	server := newKeyServer(t, answer(jwks(member(newEd25519(), "kid", "a"))))
	r := ring(t, config.KeySource{JWKSURL: server.URL})
	r.Settle(t.Context())
	expect(t, r, "x", token.EdDSA, notFoundCode)
	expect(t, r, "x", token.EdDSA, notFoundCode) // remembered
	expect(t, r, "y", token.EdDSA, unavailableCode)
	expect(t, r, "x", token.HS256, notFoundCode) // no URL brings a secret, so none is asked
	expect(t, r, "z", token.HS256, notFoundCode)
	expect(t, r, "a", token.EdDSA, "a")
	if n := len(server.visits()); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

func TestSet_OneFetchServesAllWhoWait(t *testing.T) {
	release := make(chan struct{})
	good := answer(jwks(member(newEd25519(), "kid", "a")))
	server := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) { <-release; good(w, r) })
	p := usual
	p.wait = time.Hour
	r := openRing(t, p, nil, config.KeySource{JWKSURL: server.URL})
	until(t, "it is asked", func() bool { return len(server.visits()) == 1 })
	var all sync.WaitGroup
	for i := range 200 {
		kid, want := "a", "a"
		if i%2 == 1 {
			kid, want = "unknown", notFoundCode
		}
		all.Go(func() { expect(t, r, kid, token.EdDSA, want) })
	}
	s := r.remotes[0].(*set)
	until(t, "all wait", func() bool { return s.waiters() == 200 })
	close(release)
	all.Wait()
	// The second one is for all whose kid may have come after the first had been asked for.
	if n := len(server.visits()); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

// With a busy machine a token may be that late. What it needs to know the source has just said.
func TestSet_WhoSleepsThroughTheAnswerIsNotHeldBack(t *testing.T) {
	server := newKeyServer(t, answer(jwks(member(newEd25519(), "kid", "a"))))
	r := ring(t, config.KeySource{JWKSURL: server.URL})
	r.Settle(t.Context())
	late := wanted{kid: "unknown", since: time.Now()}
	expect(t, r, "other", token.EdDSA, notFoundCode) // for this one it is asked
	if d := r.remotes[0].demand(late); !d.absent || d.why != nil {
		t.Errorf("who came before the source was asked is told %v", d.why)
	}
	if d := r.remotes[0].demand(wanted{kid: "unknown", since: time.Now()}); d.absent {
		t.Error("who came later is told what was said before")
	}
}

func TestSet_ThoseWhoWaitAreBounded(t *testing.T) {
	server := newKeyServer(t, hang)
	r := ring(t, config.KeySource{JWKSURL: server.URL})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range maxWaiting {
		all.Go(func() { findAt(ctx, r, "a", token.EdDSA, time.Now()) })
	}
	s := r.remotes[0].(*set)
	until(t, "all wait", func() bool { return s.waiters() == maxWaiting })
	if id, detail := find(t, r, "a", token.EdDSA); id != unavailableCode || !strings.Contains(detail, "too many") {
		t.Errorf("got %s, %s", id, detail)
	}
	cancel()
	all.Wait()
}

func TestSet_CloseLetsThoseWhoWaitGo(t *testing.T) {
	server := newKeyServer(t, hang)
	r, err := Open(t.Context(), []config.KeySource{{JWKSURL: server.URL}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		id, _ := findAt(context.Background(), r, "a", token.EdDSA, time.Now())
		got <- id
	}()
	s := r.remotes[0].(*set)
	until(t, "it waits", func() bool { return s.waiters() == 1 })
	r.Close()
	if id := <-got; id != unavailableCode {
		t.Errorf("got %s", id)
	}
}

// Between the source's having new keys and the ring's showing them lie microseconds, in which a token must not be told
// that there are none for it.
func TestSet_WhoNeedsItsFirstKeysWaitsUntilTheyShow(t *testing.T) {
	answers := make(chan struct{})
	good := answer(jwks(member(newEd25519(), "kid", "a")))
	server := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) { <-answers; good(w, r) })
	r := openRing(t, quick(), newNews(), config.KeySource{JWKSURL: server.URL})
	s := r.remotes[0].(*set)
	r.rebuilding.Lock()
	show := sync.OnceFunc(r.rebuilding.Unlock)
	defer show() // the ring does not close before
	close(answers)
	until(t, "the keys are there", func() bool { return s.current() != nil })
	got := make(chan string, 1)
	go func() {
		id, _ := findAt(context.Background(), r, "-", token.EdDSA, time.Now())
		got <- id
	}()
	until(t, "it waits", func() bool { return s.waiters() == 1 })
	show()
	if id := <-got; id != "a" {
		t.Errorf("got %s", id)
	}
}

func TestSet_KeepsTheLastGoodKeysThroughAnything(t *testing.T) {
	good := answer(jwks(member(newEd25519(), "kid", "a")), "Cache-Control", "max-age=0")
	other := newKeyServer(t, answer(jwks(member(newEd25519(), "kid", "b"))))
	for name, bad := range map[string]http.HandlerFunc{
		"500":                     status(500),
		"404":                     status(404),
		"204":                     status(204),
		"304 unasked":             status(304),
		"10 MB":                   answer(strings.Repeat(" ", 10<<20)),
		"HTML":                    answer("<html>"),
		"no keys":                 answer(`{"keys":[]}`),
		"keys null":               answer(`{"keys":null}`),
		"only bad keys":           answer(`{"keys":[{"kty":"RSA"},7]}`),
		"only a secret":           answer(jwks(member([]byte(secretA), "kid", "a"))),
		"cut off":                 answer(`{"keys":[`, "Content-Length", "1000"),
		"redirect to other host":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) },
		"the connection is reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			server, log := newKeyServer(t, good), newNews()
			r := openRing(t, quick(), log, config.KeySource{JWKSURL: server.URL})
			r.Settle(t.Context())
			before := r.Generation()
			server.say(bad)
			log.wait(t, "A key source fails")
			expect(t, r, "a", token.EdDSA, "a")
			expect(t, r, "b", token.EdDSA, unavailableCode)
			if r.Generation() != before || errorsOf(r) == "" {
				t.Errorf("generation %d, then %d; list shows %q", before, r.Generation(), errorsOf(r))
			}
			server.say(good)
			log.wait(t, "answers again")
			if r.Generation() != before || errorsOf(r) != "" {
				t.Errorf("generation %d, then %d; list shows %q", before, r.Generation(), errorsOf(r))
			}
		})
	}
	if n := len(other.visits()); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

func TestSet_KeysThatNobodyConfirmsForMaxStaleServeNoMore(t *testing.T) {
	good := answer(jwks(member(newEd25519(), "kid", "a")), "Cache-Control", "max-age=0")
	server, log := newKeyServer(t, good), newNews()
	r := openRing(t, quick(), log, config.KeySource{JWKSURL: server.URL, MaxStale: time.Second})
	r.Settle(t.Context())
	expect(t, r, "a", token.EdDSA, "a")
	before := r.Generation()
	server.say(status(500))
	log.wait(t, "silent for longer than max_stale")
	until(t, "the generation has moved", func() bool { return r.Generation() != before })
	expect(t, r, "a", token.EdDSA, unavailableCode)
	expect(t, r, "-", token.EdDSA, unavailableCode)
	server.say(good)
	until(t, "the key serves again", func() bool { id, _ := find(t, r, "a", token.EdDSA); return id == "a" })
}

func TestSet_GoodKeysOfAMixedSetServeAndBadOnesAreNamed(t *testing.T) {
	server := newKeyServer(t, answer(`{"keys":[{"kty":"RSA","kid":"broken"},`+string(member(newEd25519(), "kid", "a"))+`]}`))
	r := ring(t, config.KeySource{JWKSURL: server.URL})
	expect(t, r, "a", token.EdDSA, "a")
	if text := errorsOf(r); !strings.Contains(text, `"broken" is left out`) {
		t.Errorf("list shows %q", text)
	}
}

func TestSet_CertificatesByKid(t *testing.T) {
	server := newKeyServer(t, answer(`{"b":`+quoted(publicPEM(oneRSA()))+`,"broken":"x"}`))
	r := ring(t, config.KeySource{CertsURL: server.URL})
	expect(t, r, "b", token.RS256, "b")
	expect(t, r, "broken", token.RS256, notFoundCode)
}

func TestSet_TheFirstGoodAnswerOfTwoSourcesIsEnough(t *testing.T) {
	var over atomic.Bool
	bad := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) {
		hang(w, r)
		over.Store(true)
	})
	good := newKeyServer(t, answer(jwks(member(newEd25519(), "kid", "a"))))
	p := usual
	p.wait = time.Hour
	r := openRing(t, p, nil, config.KeySource{JWKSURL: bad.URL}, config.KeySource{JWKSURL: good.URL})
	expect(t, r, "a", token.EdDSA, "a")
	if over.Load() {
		t.Error("the source that hangs was waited for")
	}
}

func (s *set) waiters() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight == nil {
		return 0
	}
	return s.flight.waiting
}

// It served every kid before the server went down, and there is nothing new to be had from one that is.
func TestSet_AKeyWithoutKidServesEveryKidThroughAnOutage(t *testing.T) {
	server := newKeyServer(t, answer(jwks(member(newEd25519()))))
	r := openRing(t, quick(), nil, config.KeySource{JWKSURL: server.URL})
	r.Settle(t.Context())
	server.say(status(http.StatusInternalServerError))
	until(t, "the server is known to be down", func() bool { return errorsOf(r) != "" })
	k, problem := r.Find(t.Context(), "any", true, token.EdDSA, time.Now(), nobody)
	if problem != nil {
		t.Fatalf("%s: %s", problem.Code, problem.Detail)
	}
	if k.Doubt == nil || k.Doubt.Code != reason.KeyUnavailable {
		t.Errorf("a signature that is not by this key would get %v", k.Doubt)
	}
	if k, _ := r.Find(t.Context(), "", false, token.EdDSA, time.Now(), nobody); k == nil || k.Doubt != nil {
		t.Errorf("a token without a kid gets %+v", k)
	}
}

func TestRing_SettleWaitsLongerThanAToken(t *testing.T) {
	release := make(chan struct{})
	good := answer(jwks(member(newEd25519(), "kid", "a")))
	server := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) { <-release; good(w, r) })
	p := quick()
	p.wait = 20 * time.Millisecond
	r := openRing(t, p, nil, config.KeySource{JWKSURL: server.URL})
	settled := make(chan struct{})
	go func() {
		r.Settle(t.Context())
		close(settled)
	}()
	s := r.remotes[0].(*set)
	until(t, "it waits", func() bool { return s.waiters() == 1 })
	expect(t, r, "a", token.EdDSA, unavailableCode) // a token that came later has given up
	select {
	case <-settled:
		t.Error("it waits no longer than a token")
	default:
	}
	close(release)
	<-settled
	expect(t, r, "a", token.EdDSA, "a")
}
