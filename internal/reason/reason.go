// Package reason is the closed list of why usher refuses, or cannot answer.
//
// Everything that shows a reason takes it from here: the shim's XMPP errors, the audit, metrics, explain and the docs.
// A new reason is a new row in this table and nothing else.
package reason

// Code names one reason, as it stands in answers, audit rows and metric labels.
type Code string

// The reasons, in the order of the checks that give them.
const (
	None Code = ""

	ProfileUnknown Code = "profile_unknown"

	TokenMissing   Code = "token_missing"
	TokenMalformed Code = "token_malformed"
	TokenTooLarge  Code = "token_too_large"

	IssuerNotAllowed    Code = "issuer_not_allowed"
	AlgorithmNotAllowed Code = "algorithm_not_allowed"
	KeyNotFound         Code = "key_not_found"
	KeyUnavailable      Code = "key_unavailable"
	SignatureInvalid    Code = "signature_invalid"

	TokenExpired     Code = "token_expired"
	TokenNotYetValid Code = "token_not_yet_valid"
	LifetimeTooLong  Code = "lifetime_too_long"
	ClaimMissing     Code = "claim_missing"

	AudienceNotAllowed Code = "audience_not_allowed"
	SubjectMissing     Code = "subject_missing"
	SubjectNotAllowed  Code = "subject_not_allowed"

	TokenRevoked          Code = "token_revoked"
	TokenReplayed         Code = "token_replayed"
	RevocationUnavailable Code = "revocation_unavailable"

	AuthenticationRequired Code = "authentication_required"
	RoomInvalid            Code = "room_invalid"
	RoomDoesNotExist       Code = "room_does_not_exist"
	RoomClaimMissing       Code = "room_claim_missing"
	RoomMismatch           Code = "room_mismatch"
	TenantMismatch         Code = "tenant_mismatch"
	RoomPatternInvalid     Code = "room_pattern_invalid"

	RateLimited Code = "rate_limited"
	Overloaded  Code = "overloaded"
)

// Conditions of RFC 6120 that an answer names for the shim.
const (
	NotAllowed         = "not-allowed"
	ServiceUnavailable = "service-unavailable"
)

// Info is what the world is told about a reason.
type Info struct {
	Code Code
	// Message is for the person who was refused: plain words, nothing about clocks, keys or configuration.
	Message string
	// Remedy is for the operator or auditor: what to look at and what to change.
	Remedy string
	// Condition is the XMPP error condition (RFC 6120, section 8.3.3).
	Condition string
	// JitsiCode is the element in http://jitsi.org/jitmeet that Jitsi's client knows; empty where it knows none.
	JitsiCode string
	// Unavailable: no verdict could be had. Answered with 503, never a deny.
	Unavailable bool
}

var infos = []Info{
	{Code: ProfileUnknown, Message: "This server is not set up to check tokens for this address.", Remedy: "The question named a profile that the config does not have. Add it under profiles, or correct usher_profile in Prosody.", Condition: NotAllowed, JitsiCode: "server-missing-config"},

	{Code: TokenMissing, Message: "A token is required to connect.", Remedy: "The session showed no token and the profile does not admit guests. Send one (?token= or Authorization: Bearer), or set guests: allow.", Condition: NotAllowed, JitsiCode: "authentication-required"},
	{Code: TokenMalformed, Message: "This token is not well formed.", Remedy: "Have the issuer write a compact JWS as RFC 7515 and RFC 7519 say; the detail names what is wrong.", Condition: NotAllowed},
	{Code: TokenTooLarge, Message: "This token is too large.", Remedy: "Shorten the token's claims, or raise limits.max_token_size.", Condition: NotAllowed},

	{Code: IssuerNotAllowed, Message: "The issuer of this token is not accepted here.", Remedy: "Add an issuer block with this iss to the profile, or have the token issued by one that is listed.", Condition: NotAllowed},
	{Code: AlgorithmNotAllowed, Message: "This token is signed in a way that is not accepted here.", Remedy: "The header's alg must be on the issuer's algorithms and fit the key's type and curve. Add it to algorithms, or sign with one that is listed.", Condition: NotAllowed},
	{Code: KeyNotFound, Message: "This token is signed with a key that is not known here.", Remedy: "Compare the token's kid with `usher keys list`; publish the key at the source, or give the token a kid where several keys fit.", Condition: NotAllowed},
	{Code: KeyUnavailable, Message: "Tokens cannot be checked at the moment. Please try again.", Remedy: "The issuer's key source could not be asked. See `usher keys list` for its last error.", Condition: ServiceUnavailable, Unavailable: true},
	{Code: SignatureInvalid, Message: "The signature of this token is not valid.", Remedy: "The token was changed after signing, or signed with another key. What it claims is not to be believed.", Condition: NotAllowed},

	{Code: TokenExpired, Message: "This token has expired.", Remedy: "Have a new token issued; if this one should still be valid, compare the clocks of issuer and verifier.", Condition: NotAllowed},
	{Code: TokenNotYetValid, Message: "This token is not valid yet.", Remedy: "nbf or iat lies ahead of the verifier's clock by more than time.leeway. Compare the clocks of issuer and verifier.", Condition: NotAllowed},
	{Code: LifetimeTooLong, Message: "This token is valid for longer than is accepted here.", Remedy: "Have tokens issued with exp - iat within time.max_lifetime, or raise it.", Condition: NotAllowed},
	{Code: ClaimMissing, Message: "This token lacks something that is required here.", Remedy: "The detail names the claim. Have the issuer add it, or relax the rule that asks for it (required_claims, time.require_exp, time.max_lifetime, replay).", Condition: NotAllowed},

	{Code: AudienceNotAllowed, Message: "This token is meant for another service.", Remedy: "The token's aud names none of the issuer's audiences. Add it there, or have the token issued for one that is listed.", Condition: NotAllowed},
	{Code: SubjectMissing, Message: "This token does not say which domain it is for.", Remedy: "Have the issuer add sub: the deployment's domain or a tenant.", Condition: NotAllowed},
	{Code: SubjectNotAllowed, Message: "This token is for another domain.", Remedy: "The token's sub is not among the issuer's subjects. Add it there, or have the token issued for one that is listed.", Condition: NotAllowed},

	{Code: TokenRevoked, Message: "This token has been revoked.", Remedy: "See `usher revoke show` with the revocation id for who revoked it and why; `usher revoke lift` takes it back.", Condition: NotAllowed},
	{Code: TokenReplayed, Message: "This token has been used already.", Remedy: "The issuer's replay rule lets a jti connect once. Have a new token issued for each session, or lengthen replay.grace.", Condition: NotAllowed},
	{Code: RevocationUnavailable, Message: "Tokens cannot be checked at the moment. Please try again.", Remedy: "The revocation store gave no word for longer than revocation.max_staleness and could not be asked. Mend the store; revocation.on_unavailable decides what happens meanwhile.", Condition: ServiceUnavailable, Unavailable: true},

	{Code: AuthenticationRequired, Message: "This room asks for authentication.", Remedy: "The room admits no guests and no other tenant. Join with a token for this tenant.", Condition: NotAllowed, JitsiCode: "authentication-required"},
	{Code: RoomInvalid, Message: "This room address is not valid.", Remedy: "The room's JID cannot be read. Check the client or the MUC domain mapper.", Condition: NotAllowed, JitsiCode: "invalid-room-address"},
	{Code: RoomDoesNotExist, Message: "This room does not exist yet.", Remedy: "In Jitsi the focus opens rooms and the client tries again. On plain Prosody set rooms.create: allow to let a token open its room.", Condition: NotAllowed, JitsiCode: "room-does-not-exist"},
	{Code: RoomClaimMissing, Message: "This token does not name a room.", Remedy: "Have the issuer add room, or set rooms.require_claim: false.", Condition: NotAllowed, JitsiCode: "room-name-does-not-match"},
	{Code: RoomMismatch, Message: "This token is not for this room.", Remedy: "The token's room claim does not open the room that was asked for; the detail shows both.", Condition: NotAllowed, JitsiCode: "room-mismatch"},
	{Code: TenantMismatch, Message: "This token is for another tenant.", Remedy: "The token's sub must equal the room's tenant or fit the MUC domain (rooms.verify_domain, muc_prefix).", Condition: NotAllowed},
	{Code: RoomPatternInvalid, Message: "The room pattern of this token is not valid.", Remedy: "context.room.regex is set and room is not a valid pattern for rooms.patterns, or goes past its bounds.", Condition: NotAllowed, JitsiCode: "invalid-regex"},

	{Code: RateLimited, Message: "Too many bad tokens came from this address. Please wait and try again.", Remedy: "limits.bad_tokens_per_address was reached; the address is answered again after a minute.", Condition: ServiceUnavailable, Unavailable: true},
	{Code: Overloaded, Message: "The server is busy. Please try again.", Remedy: "The verifier had more questions at once than it takes. See its metrics; give it more CPU.", Condition: ServiceUnavailable, Unavailable: true},
}

var byCode = func() map[Code]Info {
	m := make(map[Code]Info, len(infos))
	for _, i := range infos {
		m[i.Code] = i
	}
	return m
}()

// All lists every reason in the order of the checks.
func All() []Info { return append([]Info(nil), infos...) }

// Info tells what is said about c. An unknown code (a row written by a newer version) gets its code as message.
func (c Code) Info() Info {
	if i, ok := byCode[c]; ok {
		return i
	}
	return Info{Code: c, Message: string(c), Condition: NotAllowed}
}

// Problem is a failed check: the reason, and a detail for operators and auditors.
// Detail may quote claims (escaped where people read it); it never holds a token, a signature or a secret, and it
// never reaches an XMPP client.
type Problem struct {
	Code   Code
	Detail string
	// JitsiCode overrides the reason's own code where one reason has two (a pattern that does not match).
	JitsiCode string
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return string(p.Code)
	}
	return string(p.Code) + ": " + p.Detail
}
