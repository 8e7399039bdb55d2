package bench_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/usher-im/usher/internal/bench"
	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/bench/floor"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/memory"
	"github.com/usher-im/usher/internal/token"
)

// BenchmarkDecide sets a verdict beside its floor, algorithm by algorithm, so that what is compared is measured within a
// second of each other:
//
//	bare   the standard library's check of the signature alone
//	jwx    what most verifiers in Go do: jwt.Parse with the same keys, signature and claims
//	cold   a token that was never seen
//	warm   a token that was seen before
//	grant  no token but the grant that it got, as every join asks
func BenchmarkDecide(b *testing.B) {
	memory.Govern()
	h := house(b)
	fill(b, h.Door)
	set := keySet(b)
	for _, alg := range fixture.Algorithms() {
		now := time.Now()
		all := fixture.Tokens(alg, 256, now)
		b.Run(string(alg)+"/bare", func(b *testing.B) { bare(b, alg, all[0]) })
		b.Run(string(alg)+"/jwx", func(b *testing.B) { plainJWX(b, set, all[0]) })
		b.Run(string(alg)+"/cold", func(b *testing.B) { cold(b, h.Door, all) })
		qs := make([]decide.Question, len(all))
		for n, raw := range all {
			qs[n] = decide.Question{Token: raw, Host: fixture.Host(0), Stage: decide.Connect}
		}
		again(b, h.Door, string(alg)+"/warm", qs)
		for n := range qs {
			v := h.Door.Decide(context.Background(), &qs[n], now)
			qs[n] = decide.Question{Grant: v.Proven.Grant(), Host: fixture.Host(0), Stage: decide.Join, Room: fixture.Room}
		}
		again(b, h.Door, string(alg)+"/grant", qs)
	}
}

func house(b *testing.B) *bench.House {
	b.Helper()
	h, err := bench.Open(b.Context(), bench.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := h.Close(); err != nil {
			b.Error(err)
		}
	})
	return h
}

// fill shows so many tokens that the cache of proven tokens is full, as it is on a node that has been up for a day: a
// new token makes an old one go.
func fill(b *testing.B, door *decide.Door) {
	b.Helper()
	now := time.Now()
	all := fixture.Tokens(token.HS256, 256, now)
	for n := range 50_000 {
		q := decide.Question{Token: all[n%len(all)], Host: "before-" + fixture.Host(n/len(all)), Stage: decide.Connect}
		mustAllow(b, door, &q, now)
	}
}

// measure runs do for as long as the benchmark wants, and reports its CPU time beside the time that has passed.
func measure(b *testing.B, do func(n int)) {
	b.Helper()
	b.ReportAllocs()
	started := cpu.Own()
	for n := 0; b.Loop(); n++ {
		do(n)
	}
	b.ReportMetric(float64(cpu.Own()-started)/float64(b.N), "cpu-ns/op")
}

// bare checks the signature of one token, decoded before.
func bare(b *testing.B, alg token.Algorithm, raw string) {
	b.Helper()
	dot := strings.LastIndexByte(raw, '.')
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	_, public := fixture.Key(alg)
	key, signed := floor.KeyFor(alg, public), []byte(raw[:dot])
	measure(b, func(int) {
		if !floor.Good(key, signed, signature) {
			b.Fatal("the signature is good")
		}
	})
}

func keySet(b *testing.B) jwk.Set {
	b.Helper()
	set := jwk.NewSet()
	for _, alg := range fixture.Algorithms() {
		_, public := fixture.Key(alg)
		key, err := jwk.FromRaw(public)
		if err != nil {
			b.Fatal(err)
		}
		for name, value := range map[string]any{jwk.KeyIDKey: fixture.Kid(alg), jwk.AlgorithmKey: jwa.SignatureAlgorithm(alg)} {
			if err := key.Set(name, value); err != nil {
				b.Fatal(err)
			}
		}
		if err := set.AddKey(key); err != nil {
			b.Fatal(err)
		}
	}
	return set
}

func plainJWX(b *testing.B, set jwk.Set, raw string) {
	b.Helper()
	text := []byte(raw)
	measure(b, func(int) {
		_, err := jwt.Parse(text, jwt.WithKeySet(set), jwt.WithIssuer(fixture.Issuer), jwt.WithAudience(fixture.Audience))
		if err != nil {
			b.Fatal(err)
		}
	})
}

// asked is how many hosts have been used up by cold: a benchmark may be run more than once.
var asked int

// cold shows each token under a host name that it was never shown for.
func cold(b *testing.B, door *decide.Door, all []string) {
	b.Helper()
	const hosts = 1 << 12
	names := make([]string, hosts)
	for n := range names {
		asked++
		names[n] = fixture.Host(asked)
	}
	now := time.Now()
	measure(b, func(n int) {
		q := decide.Question{Token: all[n%len(all)], Host: names[n/len(all)%hosts], Stage: decide.Connect}
		mustAllow(b, door, &q, now)
	})
}

// again puts questions that were all put before.
func again(b *testing.B, door *decide.Door, name string, qs []decide.Question) {
	b.Helper()
	now := time.Now()
	for n := range qs {
		mustAllow(b, door, &qs[n], now)
	}
	b.Run(name, func(b *testing.B) {
		measure(b, func(n int) { mustAllow(b, door, &qs[n%len(qs)], now) })
	})
}

func mustAllow(b *testing.B, door *decide.Door, q *decide.Question, now time.Time) {
	if v := door.Decide(context.Background(), q, now); v.Problem != nil || v.NeedToken {
		b.Fatal(v.Problem)
	}
}
