package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"os"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/keys/material"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// tokens tries the door with a token of each issuer whose secret is here, and with the same token signed by a stranger.
func (d *doctor) tokens(ctx context.Context) {
	tried := false
	for _, name := range d.cfg.ProfileNames() {
		for _, iss := range d.cfg.Profiles[name].Issuers {
			for _, k := range iss.Keys {
				if secret, ok := secretHere(k); ok && !ended(k) {
					tried = true
					d.try(ctx, d.cfg.Profiles[name], iss, k, secret)
					break
				}
			}
		}
	}
	if !tried {
		d.found("token", omitted, "try one of your issuer's: `usher token explain --host HOST --room JID < token`", "no issuer has a shared secret, so no token can be made here")
	}
}

func ended(k config.KeySource) bool { return !k.NotAfter.IsZero() && k.NotAfter.Before(time.Now()) }

func secretHere(k config.KeySource) (string, bool) {
	if k.SecretFile == "" {
		return string(k.Secret), k.Secret != ""
	}
	text, err := os.ReadFile(k.SecretFile)
	secret := string(material.SecretIn(text))
	return secret, err == nil && secret != ""
}

func (d *doctor) try(ctx context.Context, p *config.Profile, iss *config.Issuer, k config.KeySource, secret string) {
	host := cmp.Or(p.Domain, p.Name)
	if host == "default" {
		host = "usher-doctor.invalid"
	}
	spec := mint.Spec{Alg: algorithmFor(iss), Key: []byte(secret), Kid: k.Kid, Claims: claimsFor(iss, host)}
	good, err := d.explain(ctx, p, host, spec)
	if err != nil {
		d.found("token", ill, "", "profile %s, issuer %s: %v", p.Name, iss.Iss, err)
		return
	}
	spec.Key = []byte(rand.Text() + rand.Text())
	forged, err := d.explain(ctx, p, host, spec)
	switch {
	case err != nil:
		d.found("token", ill, "", "profile %s, issuer %s: %v", p.Name, iss.Iss, err)
	case !good.Allow:
		d.found("token", ill, good.Reason.Info().Remedy, "profile %s: a token of issuer %s is denied with %s%s", p.Name, iss.Iss, good.Reason, detailOf(good))
	case forged.Reason != reason.SignatureInvalid:
		d.found("token", ill, "stop usher and report this", "profile %s: a forged token of issuer %s gets %q, not signature_invalid", p.Name, iss.Iss, forged.Reason)
	default:
		d.found("token", well, "", "profile %s: a token of issuer %s opens the door, a forged one does not", p.Name, iss.Iss)
	}
}

func detailOf(e decide.Explanation) string {
	for _, check := range e.Checks {
		if check.Result == decide.Failed && check.Detail != "" {
			return ": " + check.Detail
		}
	}
	return ""
}

// explain asks the running node, which knows what is revoked; without one the config alone.
func (d *doctor) explain(ctx context.Context, p *config.Profile, host string, spec mint.Spec) (e decide.Explanation, err error) {
	raw, err := mint.Token(spec)
	if err != nil {
		return e, err
	}
	if d.client != nil {
		err = d.client.do(ctx, "POST", "/v1/explain", map[string]string{
			"token": raw, "host": host, "profile": p.Name, "stage": string(decide.Connect)}, &e)
		return e, err
	}
	if d.rules == nil {
		return e, usage("the keys cannot be opened")
	}
	q := decide.Question{Token: raw, Host: host, Profile: p.Name, Stage: decide.Connect}
	return d.rules.door.Explain(ctx, &q, time.Now()), nil
}

func algorithmFor(iss *config.Issuer) token.Algorithm {
	for _, name := range iss.Algorithms {
		if alg, ok := token.ParseAlgorithm(name); ok && alg.Symmetric() {
			return alg
		}
	}
	return token.HS256
}

// claimsFor makes what the issuer's own rules ask for, and a minute's life.
func claimsFor(iss *config.Issuer, host string) map[string]any {
	now := time.Now()
	life := time.Minute
	if short := iss.Time.MaxLifetime; short > 0 && short < life {
		life = short
	}
	moment := time.Time.Unix
	if iss.Time.Timestamps == "milliseconds" {
		moment = time.Time.UnixMilli
	}
	claims := map[string]any{
		"iss": named(iss.Iss, "usher-doctor"), "aud": named(iss.Audiences[0], "usher-doctor"), "sub": host,
		"room": "usher-doctor", "jti": "usher-doctor-" + rand.Text(), "iat": moment(now), "exp": moment(now.Add(life)),
	}
	if len(iss.Subjects) > 0 {
		claims["sub"] = named(iss.Subjects[0], host)
	}
	for _, path := range iss.RequiredClaims {
		if _, ok := claims[path]; !ok {
			_ = mint.Set(claims, path, "usher-doctor") // a path that cannot be made is then denied, and said so
		}
	}
	return claims
}

// named gives something to stand for any.
func named(value, any string) string {
	if value == config.Any {
		return any
	}
	return value
}
