package revocation

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/usher-im/usher/internal/token"
)

// Bounds on what a revocation may say.
const (
	maxValue  = 4096
	maxReason = 1024
	maxActor  = 256
)

// Prepare brings what somebody asked for into the form that stores keep, and gives it its id; or it says in one
// sentence what is wrong. A raw token as value becomes its fingerprint.
func Prepare(r Revocation, now time.Time) (Revocation, error) {
	if !slices.Contains(Selectors(), r.Selector) {
		return r, fmt.Errorf("the selector %q is none: use token, jti, user, kid, issuer or room", r.Selector)
	}
	if err := r.bounds(); err != nil {
		return r, err
	}
	if err := r.name(); err != nil {
		return r, err
	}
	r.ID = r.identity().String()
	r.IssuedBefore, r.ExpiresAt, r.CreatedAt = toMS(r.IssuedBefore), toMS(r.ExpiresAt), toMS(now)
	if r.ExpiresAt.Year() > 9999 { // RFC 3339 has no word for it: a token that ends on the last day there is, and its leeway
		r.ExpiresAt = time.Time{}
	}
	if !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(now) {
		return r, fmt.Errorf("the revocation would have expired at %s: give an expiry that lies ahead, or none", r.ExpiresAt.Format(time.RFC3339))
	}
	return r, nil
}

func (r *Revocation) bounds() error {
	for _, f := range []struct {
		what, text string
		most       int
	}{{"issuer", r.Issuer, maxValue}, {"reason", r.Reason, maxReason}, {"actor", r.Actor, maxActor}} {
		if len(f.text) > f.most || !utf8.ValidString(f.text) {
			return fmt.Errorf("the %s must be UTF-8 of at most %d bytes", f.what, f.most)
		}
	}
	if token.In(r.Reason) {
		return errors.New("the reason has a token in it, which would be kept with it: take it out")
	}
	if r.Selector != SelectToken && (token.In(r.Value) || token.In(r.Issuer)) {
		return errors.New("the value is a token: revoke it by the selector token, which keeps its fingerprint alone")
	}
	if r.Selector != SelectToken && (len(r.Value) > maxValue || !utf8.ValidString(r.Value)) {
		return fmt.Errorf("the value must be UTF-8 of at most %d bytes: revoke by fingerprint what is longer", maxValue)
	}
	return nil
}

// name settles scope and value.
func (r *Revocation) name() (err error) {
	switch r.Selector {
	case SelectToken:
		r.Issuer = "" // a token has but one
		r.Value, err = fingerprint(r.Value)
	case SelectIssuer:
		if r.Value == "" {
			r.Value = r.Issuer
		}
		if r.Issuer != "" && r.Issuer != r.Value {
			return fmt.Errorf("two issuers are named, %q and %q: give one as value", r.Issuer, r.Value)
		}
		r.Issuer = ""
	case SelectRoom:
		if r.Issuer != "" {
			return errors.New("a room is revoked whoever issued the token: leave the issuer out")
		}
		r.Value, err = roomValue(r.Value)
	default:
		if r.Issuer == "" {
			return fmt.Errorf("a %s means something only together with its issuer: name it", r.Selector)
		}
	}
	if err == nil && r.Value == "" {
		return fmt.Errorf("the value is empty: say which %s is revoked", r.Selector)
	}
	return err
}

func fingerprint(value string) (string, error) {
	value = strings.TrimSpace(value)
	if k, ok := ParseKey(strings.ToLower(value)); ok {
		return k.String(), nil
	}
	print, ok := token.FingerprintOf(value)
	if !ok {
		return "", errors.New("the value is neither a token nor a fingerprint: give the three parts of a JWT, or 32 hex digits from an audit row")
	}
	return hex.EncodeToString(print[:]), nil
}

func (r *Revocation) identity() Key {
	if r.Selector == SelectToken {
		k, _ := ParseKey(r.Value)
		return k
	}
	return keyOf(kindOf[r.Selector], r.Issuer, r.Value)
}

func toMS(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}

// Merge is what two revocations of the same are together: the first, with the later issued_before and expires_at.
// None spares nothing and never goes, so none is the latest.
func Merge(first, second Revocation) Revocation {
	first.IssuedBefore = later(first.IssuedBefore, second.IssuedBefore)
	first.ExpiresAt = later(first.ExpiresAt, second.ExpiresAt)
	if first.Reason == "" {
		first.Reason = second.Reason
	}
	return first
}

func later(a, b time.Time) time.Time {
	if a.IsZero() || b.IsZero() {
		return time.Time{}
	}
	if a.Before(b) {
		return b
	}
	return a
}

// MadeAt is when the revocation was made, in Unix milliseconds: what was lifted before stays revoked. 0 where the node does
// not know.
func (l Lost) MadeAt() int64 {
	if l.Revocation == nil {
		return 0
	}
	return UnixMS(l.Revocation.CreatedAt)
}

// Revived is the revocation for an entry that a store lost, from as much as a node still knew of it.
func (l Lost) Revived(now time.Time) Revocation {
	if l.Revocation != nil {
		r := *l.Revocation
		r.IssuedBefore, r.ExpiresAt = FromMS(l.Entry.IssuedBefore), FromMS(l.Entry.ExpiresAt)
		return r
	}
	r := l.Entry.Revocation()
	r.Reason, r.CreatedAt = "put back after the store lost it; what it named is not known any more", toMS(now)
	if r.Selector == SelectToken {
		r.Value = r.ID
	}
	return r
}
