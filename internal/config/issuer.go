package config

import "time"

// Issuer is one issuer of tokens: its keys, and what is asked of its tokens.
type Issuer struct {
	// The token's iss, exactly; "*" takes whatever is not listed by name, but never a token without iss or with an empty one.
	Iss string `yaml:"iss" example:"my-app"`
	// Accepted signature algorithms. Left out, they follow the keys: secret HS256, RSA RS256, EC by its curve, Ed25519 EdDSA.
	Algorithms []string `yaml:"algorithms" enum:"HS256|HS384|HS512|RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA" example:"[HS256]"`
	// Where the keys that verify this issuer's tokens come from; each entry is one source. Several serve at once, so that keys can be rotated.
	Keys []KeySource `yaml:"keys"`
	// Accepted values of aud; a token must name one. "*" takes any, also a token that was made for another service.
	Audiences []string `yaml:"audiences" example:"[jitsi]"`
	// Accepted values of sub: the deployment's domain, tenants by name, or "*" for any. Left out: the profile's domain.
	Subjects []string `yaml:"subjects" example:"[meet.example.com]"`
	// How the token's times are read and judged.
	Time Time `yaml:"time"`
	// Further claims that a token must have, as paths. A token without one is denied with claim_missing.
	RequiredClaims []string `yaml:"required_claims" example:"[context.user.id]"`
	// What becomes of the token's features. Left out: as the token says.
	Features *Features `yaml:"features"`
	// Whether a token may connect more than once.
	Replay Replay `yaml:"replay"`
	// Accept secrets shorter than 32 bytes. They can be guessed from one token; for old deployments until the secret is changed.
	AllowShortSecret bool `yaml:"allow_short_secret" default:"false"`
	// Fetch keys over plain http off loopback. Whoever sits in between can give you a key of theirs.
	AllowHTTP bool `yaml:"allow_http" default:"false"`
}

// KeySource is one entry under keys. One of its sources is set: Secret, SecretFile, PEM, JWKS, JWKSURL, ASAPURL or
// CertsURL. Where SecretEnv is set, Load has put the variable's value into Secret.
type KeySource struct {
	// A shared secret for HS256, HS384, HS512, inline. A file or an environment variable is the better place.
	Secret Secret `yaml:"secret"`
	// File that holds the shared secret. One newline at its end is not part of it. A change is noticed.
	SecretFile string `yaml:"secret_file" file:"secret" example:"/etc/usher/app.secret"`
	// Environment variable that holds the shared secret.
	SecretEnv string `yaml:"secret_env" example:"APP_SECRET"`
	// PEM file with a public key or certificate. A change is noticed.
	PEM string `yaml:"pem" file:"read" example:"/etc/usher/app.pub.pem"`
	// File with a JSON Web Key Set. A change is noticed.
	JWKS string `yaml:"jwks" file:"read" example:"/etc/usher/keys.json"`
	// URL of a JSON Web Key Set, as OpenID providers publish it.
	JWKSURL string `yaml:"jwks_url" example:"https://idp.example.com/jwks"`
	// ASAP key server: the key is fetched from <url>/<hex SHA-256 of kid>.pem, as Jitsi does.
	ASAPURL string `yaml:"asap_url" example:"https://keys.example.com/"`
	// URL of a JSON object from kid to certificate, as Firebase publishes it.
	CertsURL string `yaml:"certs_url" example:"https://keys.example.com/certificates.json"`
	// The key's id, for a secret or PEM. A single key without one serves every token; of several, tokens name theirs.
	Kid string `yaml:"kid" example:"2026-a"`
	// When a secret or PEM stops being accepted, as RFC 3339. Left out: never.
	NotAfter time.Time `yaml:"not_after" example:"2027-01-01T00:00:00Z"`
	// How long the last good set of a URL serves while its server is down, a minute or more. It is asked for again within half of that.
	MaxStale time.Duration `yaml:"max_stale" default:"24h"`

	// Where is the entry's place in the config: usher.yaml:31.
	Where string `yaml:"-"`
}

// Time is how a token's times are read and judged.
type Time struct {
	// How far the clocks of issuer and verifier may be apart.
	Leeway time.Duration `yaml:"leeway" default:"10s"`
	// Refuse tokens without exp.
	RequireExp bool `yaml:"require_exp" default:"true"`
	// The longest accepted exp - iat; a token without iat is then denied. Left out: no limit.
	MaxLifetime time.Duration `yaml:"max_lifetime" example:"24h"`
	// How exp, nbf and iat are read: auto takes 1e11 and more for milliseconds, each claim for itself.
	Timestamps string `yaml:"timestamps" default:"auto" enum:"auto|seconds|milliseconds"`
}

// Features is an issuer's policy on context.features.
type Features struct {
	// The features that this issuer's tokens may turn on; others become false. Left out: any. Empty: none.
	Allow []string `yaml:"allow" example:"[recording, livestreaming]"`
	// Values for features that the token does not name.
	Default map[string]bool `yaml:"default" example:"{transcription: true}"`
	// Values that hold whatever the token says.
	Force map[string]bool `yaml:"force" example:"{branding: false}"`
}

// Replay is whether a token may connect more than once.
type Replay struct {
	// once: a token's jti connects once, within grace as often as it likes (page reloads, reconnects); tokens then need a jti.
	JTI string `yaml:"jti" default:"off" enum:"off|once"`
	// How long after the first connect further ones are let in.
	Grace time.Duration `yaml:"grace" default:"60s"`
}
