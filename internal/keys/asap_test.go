package keys

import (
	"context"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/keys/fetch"
	"github.com/usher-im/usher/internal/token"
)

// hashed is the path of kid's key at an ASAP server.
func hashed(kid string) string {
	sum := sha256.Sum256([]byte(kid))
	return "/" + hex.EncodeToString(sum[:]) + ".pem"
}

// store answers as an ASAP server with these keys by kid does; with an ETag, for what each key is at the moment.
type store struct {
	mu     sync.Mutex
	pems   map[string]string
	header string // Cache-Control
}

func newStore(pems map[string]string, header string) *store {
	return &store{pems: pems, header: header}
}

func (s *store) set(kid, pem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pems[kid] = pem; pem == "" {
		delete(s.pems, kid)
	}
}

func (s *store) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for kid, pem := range s.pems {
		if r.URL.Path != hashed(kid) {
			continue
		}
		sum := sha256.Sum256([]byte(pem))
		etag := `"` + hex.EncodeToString(sum[:4]) + `"`
		w.Header().Set("ETag", etag)
		w.Header().Set("Cache-Control", s.header)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte(pem))
		return
	}
	http.NotFound(w, r)
}

func TestASAP_AKidIsHashedAndNeverAPath(t *testing.T) {
	kids := []string{"app/2026", "../../etc/passwd", "a\x00b", `"`, "ключ", "?x=1#y", strings.Repeat("k", 4000)}
	pems := map[string]string{}
	for _, kid := range kids {
		pems[kid] = publicPEM(newEd25519())
	}
	server := newKeyServer(t, newStore(pems, "").answer)
	for _, base := range []string{server.URL, server.URL + "/"} {
		r := ring(t, config.KeySource{ASAPURL: base})
		for _, kid := range kids {
			expect(t, r, kid, token.EdDSA, kid) // one after the other, none held back: each of them exists
		}
	}
	for i, v := range server.visits() {
		if want := hashed(kids[i%len(kids)]); v.path != want {
			t.Errorf("asked for %s, want %s", v.path, want)
		}
	}
}

func TestASAP_AKnownKeyIsFetchedOnce(t *testing.T) {
	server := newKeyServer(t, newStore(map[string]string{"a": publicPEM(oneRSA())}, "max-age=3600").answer)
	r := ring(t, config.KeySource{ASAPURL: server.URL})
	for range 100 {
		expect(t, r, "a", token.RS256, "a")
	}
	expect(t, r, "a", token.ES256, notAllowedCode)
	expect(t, r, "a", token.HS256, notAllowedCode)
	if n := len(server.visits()); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestASAP_404IsNoSuchKeyAndEverythingElseNoAnswer(t *testing.T) {
	weak := "-----BEGIN RSA PUBLIC KEY-----\nMAYCAQ8CAQM=\n-----END RSA PUBLIC KEY-----\n"
	for name, c := range map[string]struct {
		says http.HandlerFunc
		want string
	}{
		"404":           {status(404), notFoundCode},
		"410":           {status(410), notFoundCode},
		"403":           {status(403), unavailableCode},
		"500":           {status(500), unavailableCode},
		"no PEM":        {answer("<html>"), unavailableCode},
		"empty":         {answer(""), unavailableCode},
		"a weak key":    {answer(weak), unavailableCode},
		"a private key": {answer("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), unavailableCode},
		"10 MB":         {answer(strings.Repeat(" ", 10<<20)), unavailableCode},
		"a redirect abroad": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, unavailableCode},
	} {
		t.Run(name, func(t *testing.T) {
			server := newKeyServer(t, c.says)
			r := ring(t, config.KeySource{ASAPURL: server.URL})
			expect(t, r, "a", token.RS256, c.want)
			if absent := c.want == notFoundCode; absent != (errorsOf(r) == "") {
				t.Errorf("list shows %q", errorsOf(r))
			}
			expect(t, r, "a", token.RS256, c.want)          // remembered, or held back
			expect(t, r, "b", token.RS256, unavailableCode) // held back
			if n := len(server.visits()); n != 1 {
				t.Errorf("%d fetches", n)
			}
		})
	}
}

func TestASAP_AServerThatAnswersAgainIsListedWithoutAnError(t *testing.T) {
	for want, says := range map[string]http.HandlerFunc{notFoundCode: status(404), "b": answer(publicPEM(oneRSA()))} {
		server := newKeyServer(t, status(500))
		r := openRing(t, quick(), nil, config.KeySource{ASAPURL: server.URL})
		expect(t, r, "a", token.RS256, unavailableCode)
		if errorsOf(r) == "" {
			t.Fatal("the list shows no error")
		}
		server.say(says)
		until(t, "the server answers", func() bool {
			got, _ := find(t, r, "b", token.RS256)
			return got == want
		})
		if got := errorsOf(r); got != "" {
			t.Errorf("after %s the list still shows %q", want, got)
		}
	}
}

func TestASAP_WhoFindsAKeyFindsNoErrorThatIsOver(t *testing.T) {
	server := newKeyServer(t, status(500))
	r := openRing(t, quick(), nil, config.KeySource{ASAPURL: server.URL})
	expect(t, r, "a", token.RS256, unavailableCode)
	r.rebuilding.Lock()
	defer r.rebuilding.Unlock() // the ring does not close before
	server.say(answer(publicPEM(oneRSA())))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	until(t, "the key is about to show", func() bool {
		findAt(over, r, "b", token.RS256, time.Now()) // has it asked for, and does not wait
		return len(r.remotes[0].current()) > 0
	})
	if got := errorsOf(r); got != "" {
		t.Errorf("the list still shows %q", got)
	}
}

func TestASAP_ATokenWithoutKidHasNoKeyThere(t *testing.T) {
	server := newKeyServer(t, newStore(map[string]string{"a": publicPEM(oneRSA())}, "").answer)
	r := ring(t, config.KeySource{ASAPURL: server.URL})
	expect(t, r, "a", token.RS256, "a")
	expect(t, r, "-", token.RS256, notFoundCode)
	expect(t, r, "", token.RS256, notFoundCode)
	if n := len(server.visits()); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestASAP_AKeyIsAskedForAgainAndFollowed(t *testing.T) {
	keys := newStore(map[string]string{"a": publicPEM(oneRSA()), "b": publicPEM(newEd25519())}, "max-age=0")
	server := newKeyServer(t, keys.answer)
	r := openRing(t, quick(), nil, config.KeySource{ASAPURL: server.URL})
	expect(t, r, "a", token.RS256, "a")
	before := r.Generation()
	expect(t, r, "b", token.EdDSA, "b")
	until(t, "both were asked for again, by ETag", func() bool {
		again := map[string]bool{}
		for _, v := range server.visits() {
			if v.etag != "" {
				again[v.path] = true
			}
		}
		return len(again) == 2
	})
	if r.Generation() != before {
		t.Error("a further key and an unchanged one voided what was proven")
	}

	keys.set("a", publicPEM(newEC(elliptic.P256())))
	until(t, "the new key of a serves", func() bool { id, _ := find(t, r, "a", token.ES256); return id == "a" })
	if r.Generation() == before {
		t.Error("a changed key did not move the generation")
	}

	before = r.Generation()
	keys.set("b", "")
	until(t, "the generation has moved", func() bool { return r.Generation() != before })
	expect(t, r, "b", token.EdDSA, notFoundCode)
	expect(t, r, "a", token.ES256, "a")
}

func TestASAP_AKnownKeyServesThroughAnOutageUntilMaxStale(t *testing.T) {
	keys := newStore(map[string]string{"a": publicPEM(oneRSA())}, "max-age=0")
	server, log := newKeyServer(t, keys.answer), newNews()
	r := openRing(t, quick(), log, config.KeySource{ASAPURL: server.URL, MaxStale: time.Second})
	expect(t, r, "a", token.RS256, "a")
	before := r.Generation()
	server.say(status(502))
	log.wait(t, "A key server fails")
	expect(t, r, "a", token.RS256, "a")
	if text := errorsOf(r); !strings.Contains(text, "502") {
		t.Errorf("list shows %q", text)
	}
	log.wait(t, "silent for longer than max_stale")
	until(t, "the generation has moved", func() bool { return r.Generation() != before })
	expect(t, r, "a", token.RS256, unavailableCode)
	server.say(keys.answer)
	until(t, "the key serves again", func() bool { id, _ := find(t, r, "a", token.RS256); return id == "a" })
}

func TestASAP_AServerThatHangsNeverDelaysKnownKeys(t *testing.T) {
	server := newKeyServer(t, newStore(map[string]string{"a": publicPEM(oneRSA())}, "max-age=0").answer)
	p := quick()
	p.wait = time.Hour
	r := openRing(t, p, nil, config.KeySource{ASAPURL: server.URL})
	expect(t, r, "a", token.RS256, "a")
	server.say(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if id, detail := findAt(ctx, r, "b", token.RS256, time.Now()); id != unavailableCode {
		t.Errorf("got %s, %s", id, detail)
	}
	mustNotWait(t, r, "a", token.RS256)
}

// A node that has just started meets the kids of all tenants at once. Those that exist are no flood.
func TestASAP_ManyKidsAtOnceAreAllFetchedOnceEach(t *testing.T) {
	pems := map[string]string{}
	for i := range 40 {
		pems[fmt.Sprint("tenant-", i)] = publicPEM(newEd25519())
	}
	server := newKeyServer(t, newStore(pems, "").answer)
	p := usual
	p.wait = time.Hour
	r := openRing(t, p, nil, config.KeySource{ASAPURL: server.URL})
	var all sync.WaitGroup
	for kid := range pems {
		for range 3 {
			all.Go(func() { expect(t, r, kid, token.EdDSA, kid) })
		}
	}
	all.Wait()
	if n := len(server.visits()); n != len(pems) {
		t.Errorf("%d fetches for %d keys", n, len(pems))
	}
}

func TestASAP_FileURLsAreReadByTheSameNames(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, hashed("a")), publicPEM(oneRSA()))
	r := ring(t, config.KeySource{ASAPURL: "file://" + dir})
	expect(t, r, "a", token.RS256, "a")
	expect(t, r, "b", token.RS256, notFoundCode)
	must(os.RemoveAll(dir))
}

func TestASAP_KeysAreListedByKid(t *testing.T) {
	pems := map[string]string{"c": publicPEM(oneRSA()), "a": publicPEM(newEd25519()), "b": publicPEM(newEC(elliptic.P384()))}
	server := newKeyServer(t, newStore(pems, "").answer)
	r := ring(t, config.KeySource{ASAPURL: server.URL})
	expect(t, r, "c", token.RS256, "c")
	expect(t, r, "a", token.EdDSA, "a")
	expect(t, r, "b", token.ES384, "b")
	var kids []string
	for _, i := range r.List() {
		kids = append(kids, i.Kid)
		if i.FetchedAt.IsZero() || i.Type == "" || i.ID != i.Kid {
			t.Errorf("got %+v", i)
		}
	}
	if !slices.Equal(kids, []string{"a", "b", "c"}) {
		t.Errorf("got %v", kids)
	}
}

func TestASAP_TheKeysOfAServerAreBounded(t *testing.T) {
	r := ring(t)
	s := newASAP(r, followed{label: "url", maxStale: time.Hour}, nil)
	first := &Key{Kid: "0"}
	for i := range maxFollowed + 10 {
		k := first
		if i > 0 {
			k = &Key{Kid: fmt.Sprint(i)}
		}
		s.keep(k.Kid, k, fetch.Answer{})
	}
	if n := len(s.current()); n != maxFollowed {
		t.Errorf("%d keys", n)
	}
	if slices.Contains(s.current(), first) {
		t.Error("the oldest stayed")
	}
}

func TestASAP_TheDefaultAlgorithmsFollowWhateverKeyItBrings(t *testing.T) {
	r := ring(t, config.KeySource{ASAPURL: "https://keys.invalid/"})
	if got := fmt.Sprint(r.DefaultAlgorithms()); got != "[RS256 ES256 ES384 ES512 EdDSA]" {
		t.Errorf("got %s", got)
	}
}

// A flood of kids that are made up, each of them asked for once or more often, leaves room for who comes from elsewhere.
func TestASAP_OneAddressThatMakesUpKidsKeepsNobodyOut(t *testing.T) {
	for name, c := range map[string]struct {
		times int
		noKey func(path string)
	}{
		"once each":                              {1, func(string) {}},
		"often each":                             {50, func(string) {}},
		"once each, of a server that has no 404": {1, func(path string) { must(os.MkdirAll(path, 0o700)) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				write(t, filepath.Join(dir, hashed("good")), publicPEM(newEd25519()))
				r, err := Open(t.Context(), []config.KeySource{{ASAPURL: "file://" + dir}}, Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				flooder, user := netip.MustParsePrefix("198.51.100.7/32"), netip.MustParsePrefix("203.0.113.9/32")
				for n := range 1500 { // 15 s
					kid := fmt.Sprint("made up ", n/c.times)
					c.noKey(filepath.Join(dir, hashed(kid)))
					r.Find(t.Context(), kid, true, token.EdDSA, time.Now(), flooder)
					if n%300 == 299 {
						if k, _ := r.Find(t.Context(), "good", true, token.EdDSA, time.Now(), user); k != nil {
							return
						}
					}
					time.Sleep(10 * time.Millisecond)
				}
				t.Error("kept out")
			})
		})
	}
}

// What the set is about to bring must not use up what the key server may be asked for.
func TestASAP_BesideASetIsAskedForWhatTheSetDoesNotHave(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	good := answer(jwks(member(newEd25519(), "kid", "s")))
	set := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) { close(asked); <-release; good(w, r) })
	keys := newKeyServer(t, newStore(map[string]string{"k": publicPEM(newEd25519())}, "").answer)
	r := ring(t, config.KeySource{ASAPURL: keys.URL}, config.KeySource{JWKSURL: set.URL})
	<-asked
	set.say(good) // from then on: for k, which came later, it is asked again
	var both sync.WaitGroup
	for _, kid := range []string{"s", "k"} {
		both.Go(func() { expect(t, r, kid, token.EdDSA, kid) })
	}
	waits := r.sets[0].(interface{ waiters() int })
	until(t, "both wait", func() bool { return waits.waiters() == 2 })
	close(release)
	both.Wait()
	if visits := keys.visits(); len(visits) != 1 || visits[0].path != hashed("k") {
		t.Errorf("the key server was asked %+v", visits)
	}
}

func TestASAP_BesideASetThatHangsIsAskedInTime(t *testing.T) {
	set := newKeyServer(t, hang)
	keys := newKeyServer(t, newStore(map[string]string{"k": publicPEM(newEd25519())}, "").answer)
	r := ring(t, config.KeySource{JWKSURL: set.URL}, config.KeySource{ASAPURL: keys.URL})
	expect(t, r, "k", token.EdDSA, "k")
}
