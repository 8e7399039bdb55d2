package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// kilobyte is a token of Jitsi's shape whose raw form has about 900 bytes.
func kilobyte(t testing.TB, alg token.Algorithm, private any) string {
	t.Helper()
	raw, err := mint.Token(mint.Spec{Alg: alg, Key: private, Kid: "2026-a", Claims: map[string]any{
		"iss": "my-app", "aud": "jitsi", "sub": "meet.example.com", "room": "weekly-planning",
		"iat": 1790000000, "nbf": 1790000000, "exp": 1790003600, "jti": "01JZ8Q4M3W8F0X8V3D1R7C5T2B",
		"context": map[string]any{
			"user": map[string]any{
				"id": "6f1c2b1e-5b0a-4f43-9a63-2f0f6f8f8b11", "name": "Zoë Mustermann", "email": "zoe@example.com",
				"avatar":      "https://cdn.example.com/avatars/6f1c2b1e-5b0a-4f43-9a63-2f0f6f8f8b11.png",
				"affiliation": "owner", "moderator": true,
			},
			"group": "planning", "tenant": "example",
			"room":     map[string]any{"security_bypass": false, "lobby": true, "regex": false},
			"features": map[string]any{"recording": true, "livestreaming": false, "transcription": "true", "screen-sharing": true},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func BenchmarkParse(b *testing.B) {
	private, _ := mint.SharedKey(token.HS256)
	raw := kilobyte(b, token.HS256, private)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, problem := token.Parse(raw, token.Limits{}); problem != nil {
			b.Fatal(problem)
		}
	}
}

func BenchmarkTimes(b *testing.B) {
	private, _ := mint.SharedKey(token.HS256)
	parsed, problem := token.Parse(kilobyte(b, token.HS256, private), token.Limits{})
	if problem != nil {
		b.Fatal(problem)
	}
	rules := token.TimeRules{Leeway: 10 * time.Second, RequireExp: true}
	now := time.UnixMilli(1790000001000)
	b.ReportAllocs()
	for b.Loop() {
		times, problem := parsed.Claims.Times(token.Auto)
		if problem != nil || rules.Check(times, now) != nil {
			b.Fatal(problem)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	private, _ := mint.SharedKey(token.HS256)
	parsed, problem := token.Parse(kilobyte(b, token.HS256, private), token.Limits{})
	if problem != nil {
		b.Fatal(problem)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := parsed.Claims.Lookup("context.user.id"); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkFingerprint(b *testing.B) {
	private, _ := mint.SharedKey(token.HS256)
	parsed, _ := token.Parse(kilobyte(b, token.HS256, private), token.Limits{})
	b.ReportAllocs()
	for b.Loop() {
		token.Fingerprint(parsed.SigningInput)
	}
}

// BenchmarkVerify sets the whole way of a new token (parse, verify, times) beside usher's signature check alone and
// the standard library's bare check, which is the floor.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []token.Algorithm{token.HS256, token.RS256, token.PS256, token.ES256, token.EdDSA} {
		private, public := mint.SharedKey(alg)
		verifier := token.NewVerifier(public)
		raw := kilobyte(b, alg, private)
		parsed, problem := token.Parse(raw, token.Limits{})
		if problem != nil {
			b.Fatal(problem)
		}
		b.Run(string(alg)+"/stdlib", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !bare(alg, public, parsed.SigningInput, parsed.Signature) {
					b.Fatal("not verified")
				}
			}
		})
		b.Run(string(alg)+"/verify", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := verifier.Verify(alg, parsed.SigningInput, parsed.Signature); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/cold", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fresh, problem := token.Parse(raw, token.Limits{})
				if problem != nil {
					b.Fatal(problem)
				}
				if err := verifier.Verify(alg, fresh.SigningInput, fresh.Signature); err != nil {
					b.Fatal(err)
				}
				if _, problem := fresh.Claims.Times(token.Auto); problem != nil {
					b.Fatal(problem)
				}
			}
		})
	}
}

// bare is the check that the standard library does, with nothing around it.
func bare(alg token.Algorithm, key any, input, signature []byte) bool {
	switch k := key.(type) {
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write(input)
		return hmac.Equal(mac.Sum(nil), signature)
	case *rsa.PublicKey:
		sum := sha256.Sum256(input)
		if alg == token.PS256 {
			return rsa.VerifyPSS(k, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(input)
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(k, sum[:], r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(k, input, signature)
	}
	return false
}
