package keys

import (
	"time"

	"github.com/usher-im/usher/internal/keys/material"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
)

// Key is a key that may verify tokens of one issuer.
type Key struct {
	// ID names the key in revocations: its configured or published kid, else its RFC 7638 thumbprint; a secret without
	// a kid is "default". A key without a kid that another entry gives with one has that entry's ID, so that revoking
	// the kid also reaches tokens that name none.
	ID string
	// Names are all IDs under which entries give the same key: a revocation of any means it. Nil: ID is the only one. A key
	// server that is asked by kid adds none: it might give one key for whatever it is asked.
	Names []string
	// Kid is what a token's kid must equal; empty: the key has none.
	Kid string
	// Alg is the only algorithm that the key's publisher wants it used for; empty where there is no such wish.
	Alg token.Algorithm
	// Material is []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
	Material any
	// NotAfter is when the key stops serving; zero: never.
	NotAfter time.Time
	// Source is the place it comes from, for people: "file /etc/usher/app.pub.pem".
	Source string
	// Doubt is what there is to say of a token whose signature is not by this key, where another may have been meant; nil:
	// none was.
	Doubt *reason.Problem

	thumbprint string // of a public key; tells one material under two names from two materials
	onDemand   bool   // came from a key server that is asked by kid: serves no token without one
	verifier   *token.Verifier
}

const defaultID = "default"

func newKey(m material.Key, source string) *Key {
	k := &Key{
		ID: m.Kid, Kid: m.Kid, Alg: m.Alg, Material: m.Value, Source: source, thumbprint: m.Thumbprint,
		verifier: token.NewVerifier(m.Value),
	}
	if k.ID == "" {
		k.ID = m.Thumbprint
	}
	if k.ID == "" {
		k.ID = defaultID
	}
	return k
}

func (k *Key) names() []string {
	if k.Names == nil {
		return []string{k.ID}
	}
	return k.Names
}

// Verify checks signature over signingInput by k alone, as token.Verifier does.
func (k *Key) Verify(alg token.Algorithm, signingInput, signature []byte) error {
	return k.verifier.Verify(alg, signingInput, signature)
}

// expired tells whether k counts as not there at now.
func (k *Key) expired(now time.Time) bool {
	return !k.NotAfter.IsZero() && !now.Before(k.NotAfter)
}

// fits says why k cannot serve alg: its type, its curve, or its own alg.
func (k *Key) fits(alg token.Algorithm) error {
	if err := alg.Fits(k.Material); err != nil {
		return err
	}
	if k.Alg != "" && k.Alg != alg {
		return &ownAlgError{own: k.Alg, asked: alg}
	}
	return nil
}

type ownAlgError struct{ own, asked token.Algorithm }

func (e *ownAlgError) Error() string {
	return "the key is published for " + string(e.own) + " alone, not for " + string(e.asked)
}

// same tells whether both are one key: nothing that rested on a need be judged again when b takes its place.
func same(a, b *Key) bool {
	return a.ID == b.ID && a.Kid == b.Kid && a.Alg == b.Alg && a.NotAfter.Equal(b.NotAfter) && sameMaterial(a, b)
}

func sameMaterial(a, b *Key) bool {
	if s, ok := a.Material.([]byte); ok {
		t, ok := b.Material.([]byte)
		return ok && string(s) == string(t)
	}
	return a.thumbprint != "" && a.thumbprint == b.thumbprint
}
