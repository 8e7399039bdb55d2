package config

import "time"

// Words that several keys take.
const (
	Allow = "allow"
	Deny  = "deny"
	Keep  = "keep"  // on_expiry
	Close = "close" // on_expiry
	Off   = "off"   // replay.jti
	Once  = "once"  // replay.jti
	Any   = "*"     // iss, audiences, subjects: whatever the token says
)

// Profile is what one Prosody host, or several of a kind, lets tokens do.
type Profile struct {
	// Name is the profile's key under profiles, in lower case.
	Name string `yaml:"-"`

	// Sessions that show no token: let them connect and join rooms that exist, or not. Guests get no features and no affiliation.
	Guests string `yaml:"guests" default:"deny" enum:"allow|deny"`
	// The deployment's domain: what a token's sub must name where subjects is left out. Left out: the host that asks.
	Domain string `yaml:"domain" example:"meet.example.com"`
	// What stands before the domain in the MUC's name: conference.meet.example.com. docker-jitsi-meet uses muc.
	MUCPrefix string `yaml:"muc_prefix" default:"conference"`
	// Which rooms a token opens.
	Rooms Rooms `yaml:"rooms"`
	// Accepted values of the token header's typ, in any case. A header without typ is always accepted.
	Types []string `yaml:"types" default:"[JWT]"`
	// How revocations are looked up.
	Revocation Revocation `yaml:"revocation"`
	// A session whose token runs out in a meeting: keep lets it stay, close puts it out after on_expiry_grace.
	OnExpiry string `yaml:"on_expiry" default:"keep" enum:"keep|close"`
	// How long on_expiry: close waits after the token's end.
	OnExpiryGrace time.Duration `yaml:"on_expiry_grace" default:"0s"`
	// Who may issue tokens for this profile. A token's iss picks its block, and a key of one issuer never verifies a token of another.
	Issuers []*Issuer `yaml:"issuers"`
}

// Rooms is which rooms a token opens.
type Rooms struct {
	// Compare the token's sub with the room's tenant, or with the MUC domain. Off, any tenant's token opens a room of the right name,
	// and `context.tenant` is not held against the URL's.
	VerifyDomain bool `yaml:"verify_domain" default:"true"`
	// Refuse a token without a room claim (room_claim_missing). Off, such a token opens every room of its domain.
	RequireClaim bool `yaml:"require_claim" default:"true"`
	// Whether a token may open a room that does not exist yet. In Jitsi the focus opens rooms, so deny; on plain Prosody say allow.
	Create string `yaml:"create" default:"deny" enum:"allow|deny"`
	// Whether room: "*" and patterns that match everything are accepted.
	Wildcard string `yaml:"wildcard" default:"allow" enum:"allow|deny"`
	// The language of room patterns (context.room.regex): Lua's as in Jitsi, with bounds; RE2; or none at all.
	Patterns string `yaml:"patterns" default:"lua" enum:"lua|re2|deny"`
}

// Revocation is how revocations are looked up.
type Revocation struct {
	// What happens when the store has been silent for max_staleness and cannot be asked: deny (revocation_unavailable, the client waits) or allow (the log and a metric say so).
	OnUnavailable string `yaml:"on_unavailable" default:"deny" enum:"deny|allow"`
	// How old the index in memory may be before each decision asks the store itself.
	MaxStaleness time.Duration `yaml:"max_staleness" default:"5s"`
	// Ask the store in every decision. Costs a round trip each.
	Strict bool `yaml:"strict" default:"false"`
	// The claim that says who the user is, for revocations by user.
	UserClaim string `yaml:"user_claim" default:"context.user.id"`
}
