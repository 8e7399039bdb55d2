package bench_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/usher-im/usher/internal/bench"
	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/token"
)

func house(b *testing.B) *bench.House {
	b.Helper()
	h, err := bench.Open(b.Context(), b.TempDir())
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

func eachAlgorithm(b *testing.B, run func(*testing.B, token.Algorithm)) {
	for _, alg := range fixture.Algorithms() {
		b.Run(string(alg), func(b *testing.B) { run(b, alg) })
	}
}

// BenchmarkBare is the floor of everything: what the standard library takes to check one signature.
func BenchmarkBare(b *testing.B) {
	eachAlgorithm(b, func(b *testing.B, alg token.Algorithm) {
		check := bareCheck(b, alg, fixture.Token(alg, 0, time.Now()))
		measure(b, func(int) {
			if !check() {
				b.Fatal("the signature is good")
			}
		})
	})
}

// bareCheck checks the signature of one token, decoded before, by the standard library alone.
func bareCheck(tb testing.TB, alg token.Algorithm, raw string) func() bool {
	tb.Helper()
	dot := strings.LastIndexByte(raw, '.')
	signed := []byte(raw[:dot])
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	if err != nil {
		tb.Fatal(err)
	}
	switch alg {
	case token.RS256:
		return func() bool {
			sum := sha256.Sum256(signed)
			return rsa.VerifyPKCS1v15(fixture.RSA(), crypto.SHA256, sum[:], signature) == nil
		}
	case token.PS256:
		opt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return func() bool {
			sum := sha256.Sum256(signed)
			return rsa.VerifyPSS(fixture.RSA(), crypto.SHA256, sum[:], signature, opt) == nil
		}
	case token.ES256:
		return func() bool {
			sum := sha256.Sum256(signed)
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			return ecdsa.Verify(fixture.EC(), sum[:], r, s)
		}
	case token.EdDSA:
		return func() bool { return ed25519.Verify(fixture.Ed25519(), signed, signature) }
	}
	return func() bool {
		mac := hmac.New(sha256.New, fixture.Secret())
		mac.Write(signed)
		return hmac.Equal(mac.Sum(nil), signature)
	}
}

// BenchmarkPlainJWX is what most verifiers in Go do: jwt.Parse with the same keys, signature and claims.
func BenchmarkPlainJWX(b *testing.B) {
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
	eachAlgorithm(b, func(b *testing.B, alg token.Algorithm) {
		raw := []byte(fixture.Token(alg, 0, time.Now()))
		measure(b, func(int) {
			_, err := jwt.Parse(raw, jwt.WithKeySet(set), jwt.WithIssuer(fixture.Issuer), jwt.WithAudience(fixture.Audience))
			if err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkDecideCold shows tokens that were never seen: each is one of 256, under a host name of its own. The cache of
// proven tokens is full, as it is on a node that has been up for a day: a new token makes an old one go.
func BenchmarkDecideCold(b *testing.B) {
	h := house(b)
	fill(b, h.Door)
	eachAlgorithm(b, func(b *testing.B, alg token.Algorithm) {
		now := time.Now()
		all := fixture.Tokens(alg, 256, now)
		hosts := make([]string, 1<<16)
		for n := range hosts {
			hosts[n] = fixture.Host(n)
		}
		measure(b, func(n int) {
			q := connect(all[n%len(all)], hosts[n/len(all)%len(hosts)])
			mustAllow(b, h.Door, &q, now)
		})
	})
}

// fill shows so many tokens that the cache is full twice over.
func fill(b *testing.B, door *decide.Door) {
	b.Helper()
	now := time.Now()
	all := fixture.Tokens(token.HS256, 256, now)
	for n := range 50_000 {
		q := connect(all[n%len(all)], "before-"+fixture.Host(n/len(all)))
		mustAllow(b, door, &q, now)
	}
}

// BenchmarkDecideWarm shows tokens again that were seen before.
func BenchmarkDecideWarm(b *testing.B) {
	h := house(b)
	eachAlgorithm(b, func(b *testing.B, alg token.Algorithm) { warm(b, h.Door, connections(b, h.Door, alg)) })
}

// BenchmarkDecideGrant comes with a grant, as every join does.
func BenchmarkDecideGrant(b *testing.B) {
	h := house(b)
	eachAlgorithm(b, func(b *testing.B, alg token.Algorithm) {
		qs := connections(b, h.Door, alg)
		for n := range qs {
			v := h.Door.Decide(context.Background(), &qs[n], time.Now())
			qs[n] = decide.Question{Grant: v.Proven.Grant, Host: fixture.Domain, Stage: decide.Join, Room: fixture.Room}
		}
		warm(b, h.Door, qs)
	})
}

// connections are questions whose tokens the door has seen.
func connections(b *testing.B, door *decide.Door, alg token.Algorithm) []decide.Question {
	b.Helper()
	now := time.Now()
	qs := make([]decide.Question, 256)
	for n, raw := range fixture.Tokens(alg, len(qs), now) {
		qs[n] = connect(raw, fixture.Domain)
		mustAllow(b, door, &qs[n], now)
	}
	return qs
}

func warm(b *testing.B, door *decide.Door, qs []decide.Question) {
	b.Helper()
	now := time.Now()
	measure(b, func(n int) { mustAllow(b, door, &qs[n%len(qs)], now) })
}

func connect(raw, host string) decide.Question {
	return decide.Question{Token: raw, Host: host, Stage: decide.Connect}
}

func mustAllow(b *testing.B, door *decide.Door, q *decide.Question, now time.Time) {
	if v := door.Decide(context.Background(), q, now); v.Problem != nil || v.NeedToken {
		b.Fatal(v.Problem)
	}
}
