// Package intake turns what people and programs ask for into revocations: it reads their ways of writing times, finds
// the issuer where the config leaves no choice, and knows when a token runs out. The API and the CLI both go through it.
package intake

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/token"
)

// Request is a revocation as it is asked for. Times are RFC 3339, a date, or a span: before now for IssuedBefore, from
// now on for ExpiresAt; "now" is also a time.
type Request struct {
	Selector     revocation.Selector `json:"selector"`
	Issuer       string              `json:"issuer,omitempty"`
	Value        string              `json:"value"`
	IssuedBefore string              `json:"issued_before,omitempty"`
	Reason       string              `json:"reason,omitempty"`
	ExpiresAt    string              `json:"expires_at,omitempty"`
}

// Revocation is what the request comes to under a config, made by actor; cautions are what should be said about it.
// An error is the caller's mistake, in one sentence.
func (q Request) Revocation(cfg *config.Config, actor string, now time.Time) (r revocation.Revocation, cautions []string, err error) {
	r = revocation.Revocation{Selector: q.Selector, Issuer: q.Issuer, Value: q.Value, Reason: q.Reason, Actor: actor}
	if r.IssuedBefore, err = ParseTime(q.IssuedBefore, now, -1); err != nil {
		return r, nil, fmt.Errorf("the value of issued_before %w", err)
	}
	if r.ExpiresAt, err = ParseTime(q.ExpiresAt, now, +1); err != nil {
		return r, nil, fmt.Errorf("the value of expires_at %w", err)
	}
	if r.Selector == revocation.SelectToken && q.ExpiresAt == "" {
		r.ExpiresAt = runsOut(strings.TrimSpace(q.Value), cfg, now)
	}
	if r.Selector.Scoped() && r.Issuer == "" {
		if r.Issuer, err = onlyIssuer(cfg, r.Selector); err != nil {
			return r, nil, err
		}
	}
	if r, err = revocation.Prepare(r, now); err != nil {
		return r, nil, err
	}
	if issuerOf(r) == revocation.AnyIssuer && r.Selector != revocation.SelectKey {
		return r, nil, errAnyIssuer
	}
	return r, caution(r, cfg), nil
}

// Check says what is wrong with the request whatever the config: of a long list, before any of it is done.
func (q Request) Check(now time.Time) error {
	if q.Selector.Scoped() && q.Issuer == "" {
		q.Issuer = "any"
	}
	_, _, err := q.Revocation(&config.Config{}, "", now)
	return err
}

// KeyNames are all names of the key that a revocation under an issuer calls id; none where there is no such key. open: there
// may be one all the same.
type KeyNames func(issuer, id string) (names []string, open bool)

// Revocations is what many requests come to, each with its cautions; what Doubt says is not among them. An error says which
// of them is the mistake.
func Revocations(asked []Request, cfg *config.Config, actor string, now time.Time) (rs []revocation.Revocation, cautions [][]string, err error) {
	rs, cautions = make([]revocation.Revocation, len(asked)), make([][]string, len(asked))
	for i, q := range asked {
		if rs[i], cautions[i], err = q.Revocation(cfg, actor, now); err != nil && len(asked) > 1 {
			return nil, nil, fmt.Errorf("item %d: %w; none of the items was revoked", i, err)
		} else if err != nil {
			return nil, nil, err
		}
	}
	return rs, cautions, nil
}

// Doubt adds to a revocation's cautions that there is no such key, or that there may be more of it. It is revoked all the same:
// sessions may rest on one that is gone, and it may come back.
func Doubt(cautions []string, r revocation.Revocation, cfg *config.Config, keys KeyNames) []string {
	if r.Selector != revocation.SelectKey || !accepts(cfg, r.Issuer) {
		return cautions
	}
	cautions = append(cautions, alsoServes(r, issuers(cfg), keys)...)
	switch names, open := keys(r.Issuer, r.Value); {
	case len(names) > 0:
		return cautions
	case open:
		return append(cautions, fmt.Sprintf("whether the issuer %q has a key with the ID %q could not be looked up: a source of its keys cannot be read, or is asked for single keys alone (`usher keys list` shows which); an ID that is misspelt revokes nothing", r.Issuer, r.Value))
	}
	return append(cautions, fmt.Sprintf("the issuer %q has no key with the ID %q now, `usher keys list` shows those that it has: this revocation meets only what such a key verified while it was there, or will", r.Issuer, r.Value))
}

// alsoServes says that a key of an issuer's own and one that serves any have the same ID. Where they are one key, whoever holds
// it writes the iss that was not revoked; they need not be, as every key without a kid is called default.
func alsoServes(r revocation.Revocation, known []string, keys KeyNames) (says []string) {
	ofAny, _ := keys(revocation.AnyIssuer, r.Value)
	if len(ofAny) == 0 {
		return nil
	}
	const meant = "if that is the one meant, whoever holds it writes %s iss into a token: revoke it under %s too"
	if r.Issuer != revocation.AnyIssuer {
		if slices.Contains(known, r.Issuer) && slices.Contains(known, revocation.AnyIssuer) {
			says = append(says, fmt.Sprintf("a key with the ID %q serves any iss; "+meant, r.Value, "another", "the issuer *"))
		}
		return says
	}
	for _, issuer := range known {
		// Those that serve any are among the names under each issuer.
		if names, _ := keys(issuer, r.Value); len(names) > len(ofAny) {
			says = append(says, fmt.Sprintf("the issuer %q has a key with the ID %q of its own, which this does not revoke; "+meant, issuer, r.Value, "that", "that issuer"))
		}
	}
	return says
}

// Such a revocation would be taken for one of everything, and meet nothing.
var errAnyIssuer = errors.New("the issuer * means a key alone, one that serves any iss: name the iss that the tokens have, " + eachIssuer)

const eachIssuer = "each in a revocation of its own (`usher audit stats --by issuer` shows which came)"

func caution(r revocation.Revocation, cfg *config.Config) (says []string) {
	if r.Selector == revocation.SelectKey && !r.IssuedBefore.IsZero() {
		says = append(says, "whoever holds a leaked key can write any iat into a token: with issued_before the key stays usable for forged tokens")
	}
	if (r.Selector == revocation.SelectUser || r.Selector == revocation.SelectJTI) && audit.Substitute(r.Value) {
		says = append(says, "the value is what the audit keeps in place of one, a pseudonym or what is left of a long text: no token has it, so this revocation meets none. Revoke by the value itself, or by the fingerprint of a row")
	}
	issuer, known := issuerOf(r), issuers(cfg)
	switch listed, any := slices.Contains(known, issuer), slices.Contains(known, revocation.AnyIssuer); {
	case issuer == "" || listed:
	case any && r.Selector == revocation.SelectKey:
		says = append(says, fmt.Sprintf("the issuer %q is let in as any other is, and whoever holds the key writes another iss into a token: this revokes it for tokens of %[1]q alone; revoke a leaked key under the issuer *, which means it whatever the iss", issuer))
	case !any:
		says = append(says, fmt.Sprintf("no profile accepts tokens of the issuer %q, so this revocation meets none; configured are: %s", issuer, strings.Join(known, ", ")))
	}
	return says
}

// issuerOf is whose tokens a revocation means; empty where it means those of any.
func issuerOf(r revocation.Revocation) string {
	if r.Selector == revocation.SelectIssuer {
		return r.Value
	}
	return r.Issuer
}

// accepts says whether any profile takes tokens of an issuer.
func accepts(cfg *config.Config, issuer string) bool {
	known := issuers(cfg)
	return slices.Contains(known, issuer) || slices.Contains(known, revocation.AnyIssuer)
}

func issuers(cfg *config.Config) (names []string) {
	for _, p := range cfg.Profiles {
		for _, i := range p.Issuers {
			names = append(names, i.Iss)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// onlyIssuer is the issuer that is meant where none is named: the one that is configured.
func onlyIssuer(cfg *config.Config, s revocation.Selector) (string, error) {
	known := issuers(cfg)
	if len(known) == 1 && (known[0] != revocation.AnyIssuer || s == revocation.SelectKey) {
		return known[0], nil
	}
	if len(known) == 1 {
		return "", fmt.Errorf("a %s means something only together with its issuer, and the config takes any: name the iss that the tokens have, %s", s, eachIssuer)
	}
	if n := slices.Index(known, revocation.AnyIssuer); n >= 0 && s != revocation.SelectKey {
		known = append(slices.Delete(known, n, n+1), "any other iss that the tokens have")
	}
	return "", fmt.Errorf("a %s means something only together with its issuer: name one of the configured (%s)", s, strings.Join(known, ", "))
}

// ranOut is how long a token that has run out already stays revoked all the same.
const ranOut = time.Minute

// runsOut is when a pasted token needs no revocation any more: exp, leeway and a minute. Where it cannot be known it is
// never: no exp, no token, an issuer that is not configured. Blocks that read times differently are all believed, and
// the latest of them counts.
func runsOut(raw string, cfg *config.Config, now time.Time) time.Time {
	t, problem := token.Parse(raw, token.Limits{MaxSize: len(raw)})
	if problem != nil {
		return time.Time{}
	}
	var latest time.Time
	for _, p := range cfg.Profiles {
		for _, i := range p.Issuers {
			if i.Iss != t.Claims.Issuer && i.Iss != revocation.AnyIssuer {
				continue
			}
			times, problem := t.Claims.Times(token.Timestamps(i.Time.Timestamps))
			if problem != nil || times.Expires == 0 {
				return time.Time{}
			}
			end := time.UnixMilli(times.Expires).Add(i.Time.Leeway + time.Minute)
			if end.After(latest) {
				latest = end
			}
		}
	}
	if !latest.IsZero() && latest.Before(now.Add(ranOut)) {
		return now.Add(ranOut)
	}
	return latest
}
