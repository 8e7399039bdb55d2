// Package floor is what usher is measured against: servers that do as little as can be done, or what others do.
package floor

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"

	"github.com/goccy/go-json"
	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/token"
)

// question and answer are the bodies of the contract as any program would declare them.
type question struct {
	ID               string `json:"id"`
	Token            string `json:"token"`
	Grant            string `json:"grant"`
	Stage            string `json:"stage"`
	Host             string `json:"host"`
	Profile          string `json:"profile"`
	Room             string `json:"room"`
	Tenant           string `json:"tenant"`
	Session          string `json:"session"`
	PreviousSession  string `json:"previous_session"`
	RemoteIP         string `json:"remote_ip"`
	UserAgent        string `json:"user_agent"`
	RoomRequiresAuth bool   `json:"room_requires_auth"`
}

type answer struct {
	Allow          bool            `json:"allow"`
	DecisionID     string          `json:"decision_id"`
	Grant          string          `json:"grant,omitempty"`
	Features       map[string]bool `json:"features,omitempty"`
	Affiliation    string          `json:"affiliation,omitempty"`
	Claims         *claims         `json:"claims,omitempty"`
	Context        *about          `json:"context,omitempty"`
	ExpiresAt      int64           `json:"expires_at,omitempty"`
	RevocationKeys []string        `json:"revocation_keys,omitempty"`
}

type claims struct {
	Iss  string `json:"iss"`
	Sub  string `json:"sub"`
	Room string `json:"room"`
}

// about is the answer's context.
type about struct {
	User  user   `json:"user"`
	Group string `json:"group"`
}

type user struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Email       string `json:"email"`
	Avatar      string `json:"avatar"`
	Affiliation string `json:"affiliation"`
}

// full and short are answers as usher gives them to the fixture's tokens, to a token and to a grant.
var (
	full = answer{
		Allow: true, DecisionID: "01JDEXAMPLE0000000000000A2", Grant: "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA",
		Features:    map[string]bool{"recording": true, "livestreaming": false, "transcription": true},
		Affiliation: "owner", Claims: &claims{"my-app", "meet.example.com", "weekly-planning"},
		Context:   &about{user{"6f1c2b1e-5b0a-000000000001", "Zoë Mustermann", "zoe@example.com", "https://cdn.example.com/a/4f439a63.png", "owner"}, "planning"},
		ExpiresAt: 1790000000, RevocationKeys: []string{"q83vEjRWeJCr", "ze8SNFZ4kKvN", "7xI0VniQq83v", "EjRWeJAq83vE", "jRWeJCrze8SN", "FZ4kKvN7xI0V", "niQq83vEjRWe", "JAq83vEjRWeJ"},
	}
	short = answer{Allow: true, DecisionID: full.DecisionID, Affiliation: full.Affiliation}
)

// Serve answers every question with an allow, decoded and encoded by the fastest library that we know. With keys it
// checks the token's signature before that, as the standard library does it, and nothing else. It ends with ctx.
func Serve(ctx context.Context, ln net.Listener, keys map[string]any) error {
	app := fiber.New(fiber.Config{DisableStartupMessage: true, JSONEncoder: json.Marshal, JSONDecoder: json.Unmarshal})
	app.Post("/v1/verify", func(c *fiber.Ctx) error {
		var q question
		if err := json.Unmarshal(c.Body(), &q); err != nil {
			return err
		}
		if q.Grant != "" {
			return c.JSON(&short)
		}
		if keys != nil {
			if err := check(keys, q.Token); err != nil {
				return err
			}
		}
		return c.JSON(&full)
	})
	stop := context.AfterFunc(ctx, func() { _ = app.Shutdown() })
	defer stop()
	return app.Listener(ln)
}

var errSignature = errors.New("the signature is not good")

// check looks the key up by the header as it stands, so that not even the header is decoded.
func check(keys map[string]any, raw string) error {
	dot := strings.LastIndexByte(raw, '.')
	first := strings.IndexByte(raw, '.')
	if dot <= first {
		return errSignature
	}
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	if err != nil {
		return errSignature
	}
	if !Good(keys[raw[:first]], []byte(raw[:dot]), signature) {
		return errSignature
	}
	return nil
}

// PSS marks an RSA key that is used with PS256.
type PSS struct{ *rsa.PublicKey }

// Good is the bare check of one signature by the standard library: the floor of all cold figures.
func Good(key any, signed, signature []byte) bool {
	switch k := key.(type) {
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write(signed)
		return hmac.Equal(mac.Sum(nil), signature)
	case *rsa.PublicKey:
		sum := sha256.Sum256(signed)
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
	case PSS:
		sum := sha256.Sum256(signed)
		return rsa.VerifyPSS(k.PublicKey, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		sum := sha256.Sum256(signed)
		return ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(k, signed, signature)
	}
	return false
}

// KeyFor is a key in the form that Good takes it for an algorithm.
func KeyFor(alg token.Algorithm, public any) any {
	if k, ok := public.(*rsa.PublicKey); ok && alg == token.PS256 {
		return PSS{k}
	}
	return public
}

// Header is a token's first part, by which check finds the key.
func Header(raw string) (string, error) {
	head, _, ok := strings.Cut(raw, ".")
	if !ok {
		return "", fmt.Errorf("%.20q is no token", raw)
	}
	return head, nil
}
