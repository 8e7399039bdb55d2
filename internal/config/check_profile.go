package config

import (
	"slices"
	"strings"
)

func (r *report) checkProfile(path string, p *Profile) {
	if strings.ContainsAny(p.Domain, "@/ *") {
		r.fault(path+".domain", "%s.domain must be a host name such as meet.example.com, not %q", path, p.Domain)
	}
	if p.MUCPrefix == "" || strings.ContainsAny(p.MUCPrefix, "@/ ") {
		r.fault(path+".muc_prefix", "%s.muc_prefix must be what stands before the domain in the MUC's name, such as conference", path)
	}
	r.claimPath(path+".revocation.user_claim", p.Revocation.UserClaim)
	if p.Revocation.MaxStaleness == 0 && !p.Revocation.Strict {
		r.fault(path+".revocation.max_staleness", "%s.revocation.max_staleness of 0 would ask the store each time; say strict: true for that", path)
	}
	if p.Revocation.OnUnavailable == Allow {
		r.warn(path+".revocation.on_unavailable", "%s lets revoked tokens in while the store is away; deny is the safe choice", path)
	}
	if p.Guests == Deny && len(p.Types) == 0 && !r.wrongBelow(path+".types") {
		r.fault(path+".types", "%s.types is empty, so only tokens without typ would pass; write types: [JWT]", path)
	}
	if len(p.Issuers) == 0 {
		if !r.wrong(path) {
			r.fault(path, "%s has no issuers, so no token could enter; add one with iss, keys and audiences", path)
		}
		return
	}
	r.uniqueIssuers(path, p.Issuers)
	for i, iss := range p.Issuers {
		r.checkIssuer(indexed(path+".issuers", i), iss)
	}
}

func (r *report) uniqueIssuers(path string, issuers []*Issuer) {
	first := map[string]string{}
	for i, iss := range issuers {
		here := indexed(path+".issuers", i)
		if iss.Iss == "" {
			continue
		}
		if before, ok := first[iss.Iss]; ok {
			at, _ := r.places.find(before)
			r.fault(here, "%s is a second entry for iss %q, beside the one at %s; put its keys and audiences into that one", here, iss.Iss, r.places.label(at, r.places.file))
			continue
		}
		first[iss.Iss] = here
	}
}

func (r *report) checkIssuer(path string, iss *Issuer) {
	r.issuerIsWhole(path, iss)
	if iss.Iss == Any {
		r.warn(path+".iss", "%s accepts tokens of any issuer that one of its keys has signed; name the issuer", path)
	}
	if slices.Contains(iss.Audiences, Any) {
		r.warn(path+".audiences", "%s accepts tokens of any audience, also those made for another service; list the aud of your tokens", path)
	}
	for _, subject := range iss.Subjects {
		if strings.ContainsAny(subject, "@/ ") {
			r.fault(path+".subjects", "%s.subjects must be domains, tenants or \"*\", not %q", path, subject)
		}
	}
	if iss.Subjects != nil && len(iss.Subjects) == 0 && !r.wrongBelow(path+".subjects") {
		r.fault(path+".subjects", "%s.subjects is empty, so no token could enter; list some, or remove the line for the profile's domain", path)
	}
	for i, claim := range iss.RequiredClaims {
		r.claimPath(indexed(path+".required_claims", i), claim)
	}
	if iss.AllowShortSecret {
		r.warn(path+".allow_short_secret", "%s accepts secrets shorter than 32 bytes, which can be guessed from one token; change the secret, then remove this", path)
	}
	if iss.AllowHTTP {
		r.warn(path+".allow_http", "%s lets keys be fetched over plain http, so that whoever sits between can replace them; use https, then remove this", path)
	}
	r.checkKeys(path, iss)
	r.checkAlgorithms(path, iss)
}

// issuerIsWhole names each of the three things that an issuer cannot be without.
func (r *report) issuerIsWhole(path string, iss *Issuer) {
	if r.wrong(path) {
		return
	}
	if iss.Iss == "" {
		r.fault(path, "%s has no iss; write the tokens' iss, or \"*\" for any", path)
	}
	if len(iss.Keys) == 0 {
		r.fault(path, "%s has no keys; add one, such as keys: [{secret_file: /etc/usher/app.secret}]", path)
	}
	if len(iss.Audiences) == 0 && !r.wrongBelow(path+".audiences") {
		r.fault(path, "%s has no audiences; write the aud of the tokens, such as audiences: [jitsi]", path)
	}
}

// claimPath checks a path such as context.user.id.
func (r *report) claimPath(path, claim string) {
	if slices.Contains(strings.Split(claim, "."), "") {
		r.fault(path, "%s must be a claim's path such as context.user.id, not %q", path, claim)
	}
}

// checkAlgorithms sees that the listed algorithms and the keys can meet: a secret serves HS alone, a public key never does.
func (r *report) checkAlgorithms(path string, iss *Issuer) {
	if r.wrongBelow(path + ".algorithms") { // what is left of the list says nothing
		return
	}
	if len(iss.Algorithms) == 0 {
		if iss.Algorithms != nil && !r.wrong(path) {
			r.fault(path+".algorithms", "%s.algorithms is empty, so no token could enter; list some, or remove the line and they follow the keys", path)
		}
		return
	}
	secrets, others := false, false
	for _, k := range iss.Keys {
		switch {
		case k.shared():
			secrets = true
		case k.JWKS != "": // a file may hold either kind
			secrets, others = true, true
		default:
			others = true
		}
	}
	if len(iss.Keys) == 0 || r.wrongBelow(path+".keys") {
		return
	}
	for _, alg := range iss.Algorithms {
		symmetric := strings.HasPrefix(alg, "HS")
		switch {
		case symmetric && !secrets:
			r.fault(path+".algorithms", "%s.algorithms lists %s, which needs a shared secret, and its keys have none; remove %s, or add a secret_file", path, alg, alg)
		case !symmetric && !others:
			r.fault(path+".algorithms", "%s.algorithms lists %s, which needs a public key, and its keys are secrets; remove %s, or add a pem, jwks or URL", path, alg, alg)
		}
	}
}
