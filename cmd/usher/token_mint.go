package main

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/keys/material"
	"github.com/usher-im/usher/internal/revocation/intake"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

type tokenMintCmd struct {
	Alg     string   `help:"Algorithm. Else HS256 for a secret, and what suits a private key." placeholder:"ALG"`
	Key     string   `required:"" help:"File with the secret, or with a private key as PEM." placeholder:"FILE" type:"path"`
	Kid     string   `help:"Key id for the header." placeholder:"KID"`
	Iss     string   `help:"Issuer."`
	Aud     []string `help:"Audience; repeat for several." sep:"none"`
	Sub     string   `help:"Subject: the deployment's domain, or a tenant."`
	Room    []string `help:"Room; repeat for several." sep:"none"`
	Exp     string   `default:"1h" help:"When it runs out: a span from now such as 7d, a time, a date, or none."`
	Nbf     string   `help:"When it begins: as --exp."`
	Iat     string   `default:"0s" help:"When it was issued: as --exp."`
	MS      bool     `name:"ms" help:"Write times in milliseconds."`
	JTI     string   `name:"jti" help:"Token id."`
	User    string   `help:"context.user.id."`
	Feature []string `help:"context.features, as name=value; repeat for several." placeholder:"K=V" sep:"none"`
	Claim   []string `help:"Any claim, as path=json: context.user.moderator=true." placeholder:"PATH=JSON" sep:"none"`
}

func (cmd *tokenMintCmd) Run(_ context.Context, _ *commands, s streams) error {
	key, err := os.ReadFile(cmd.Key)
	if err != nil {
		return usage("the key cannot be read: %w", err)
	}
	spec := mint.Spec{Kid: cmd.Kid, Key: material.SecretIn(key)}
	if err := cmd.algorithm(&spec); err != nil {
		return err
	}
	if spec.Claims, err = cmd.claims(time.Now()); err != nil {
		return err
	}
	raw, err := mint.Token(spec)
	if err != nil {
		return usage("the token cannot be signed: %w", err)
	}
	_, err = fmt.Fprintln(s.out, raw)
	return err
}

// algorithm takes the one that was asked for, else the first that suits the key.
func (cmd *tokenMintCmd) algorithm(spec *mint.Spec) error {
	if cmd.Alg != "" {
		alg, ok := token.ParseAlgorithm(cmd.Alg)
		if !ok {
			return usage("there is no algorithm %q: it is one of %s", cmd.Alg, algorithms())
		}
		spec.Alg = alg
		return nil
	}
	spec.Alg = token.HS256
	if !strings.Contains(string(spec.Key.([]byte)), "-----BEGIN") {
		return nil
	}
	private, err := mint.ParsePrivate(spec.Key.([]byte))
	if err != nil {
		return usage("the private key cannot be read: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return usage("the private key in %s is of a type that signs no token", cmd.Key)
	}
	fit := token.DefaultAlgorithms(signer.Public())
	if len(fit) == 0 {
		return usage("the private key in %s is of a type that signs no token", cmd.Key)
	}
	spec.Alg = fit[0]
	return nil
}

func algorithms() string {
	var names []string
	for _, a := range token.Algorithms() {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

func (cmd *tokenMintCmd) claims(now time.Time) (map[string]any, error) {
	claims := map[string]any{}
	for name, value := range map[string]string{"iss": cmd.Iss, "sub": cmd.Sub, "jti": cmd.JTI} {
		if value != "" {
			claims[name] = value
		}
	}
	setList(claims, "aud", cmd.Aud)
	setList(claims, "room", cmd.Room)
	for name, value := range map[string]string{"exp": cmd.Exp, "nbf": cmd.Nbf, "iat": cmd.Iat} {
		if err := cmd.setTime(claims, name, value, now); err != nil {
			return nil, err
		}
	}
	if cmd.User != "" {
		if err := mint.Set(claims, "context.user.id", cmd.User); err != nil {
			return nil, err
		}
	}
	for _, pair := range cmd.Feature {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usage("--feature %s is not name=value", strconv.Quote(pair))
		}
		if err := mint.Set(claims, "context.features."+name, jsonOrText(value)); err != nil {
			return nil, usage("--feature %s: %w", pair, err)
		}
	}
	for _, pair := range cmd.Claim {
		path, text, ok := strings.Cut(pair, "=")
		var value any
		if !ok || json.Unmarshal([]byte(text), &value) != nil {
			return nil, usage("--claim %s is not path=json (text wants quotes: name='\"Ada\"')", strconv.Quote(pair))
		}
		if err := mint.Set(claims, path, value); err != nil {
			return nil, usage("--claim %s: %w", pair, err)
		}
	}
	return claims, nil
}

// setList writes one value as a string and several as an array.
func setList(claims map[string]any, name string, values []string) {
	switch len(values) {
	case 0:
	case 1:
		claims[name] = values[0]
	default:
		claims[name] = values
	}
}

// setTime reads a time as other commands take it, a duration that may lie back, or none.
func (cmd *tokenMintCmd) setTime(claims map[string]any, name, value string, now time.Time) error {
	if value == "" || value == "none" {
		return nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		span, back := strings.CutPrefix(value, "-")
		if d, ok := intake.ParseSpan(span); ok && back {
			at = now.Add(-d)
		} else if at, err = intake.ParseTime(value, now, +1); err != nil {
			return usage("--%s %s is neither a duration (1h, 7d, -5m), a time (2026-11-24T10:00:00Z, 2026-11-24, now), nor none", name, strconv.Quote(value))
		}
	}
	if cmd.MS {
		claims[name] = at.UnixMilli()
	} else {
		claims[name] = at.Unix()
	}
	return nil
}

func jsonOrText(text string) any {
	var value any
	if json.Unmarshal([]byte(text), &value) == nil {
		return value
	}
	return text
}
