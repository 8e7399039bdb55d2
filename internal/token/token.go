package token

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"github.com/usher-im/usher/internal/reason"
)

// DefaultMaxSize is the size in bytes up to which a raw token is read when Limits does not say otherwise.
const DefaultMaxSize = 8192

// Limits is what one profile accepts. The zero value is 8192 bytes and the type JWT.
type Limits struct {
	// MaxSize is the longest raw token in bytes.
	MaxSize int
	// Types are the accepted values of the header's typ, without regard to case and with or without "application/"
	// (RFC 7515, section 4.1.9). A token without a typ is always accepted.
	Types []string
	// Known spares reading headers that were read before, under these same Types; nil: each is read.
	Known *KnownHeaders
}

// Token is a token of proper shape. Until Verify has passed, all of it is merely claimed.
type Token struct {
	Header Header
	Claims Claims
	// SigningInput is header and payload with the dot between, as received. It aliases the string given to Parse: it
	// is good for as long as that string is, and must not be changed.
	SigningInput []byte
	// Signature is the decoded third part; empty in an unsecured token.
	Signature []byte

	audience, room [1]string // the one of each that most tokens have
}

// Header is what usher reads of the JOSE header. jku, jwk, x5u and x5c are ignored: a key never comes from a token.
type Header struct {
	Alg, Kid string
	HasKid   bool
	// Typ is empty where the header has none.
	Typ string
}

// Claims are the members of the payload that usher knows, each of its own type.
//
// A registered claim (RFC 7519) or room that is there with another type is malformed, null included: an absent claim
// is written by leaving it out, and a null exp must not read as "never expires".
type Claims struct {
	// Raw is the payload JSON as signed. It must not be changed: the other fields alias it.
	Raw []byte

	// Issuer and Subject are empty where iss and sub are, or are not there: neither names anybody.
	Issuer, Subject string
	// Audience holds one or more values, whether aud was a string or an array.
	Audience []string
	JTI      string

	// Room holds the names of the room claim; RoomIsArray tells an array of one from a string.
	Room        []string
	HasRoom     bool
	RoomIsArray bool

	IssuedAt, NotBefore, Expires Number

	// TopUserID is the top-level user_id, which stands in for context.user.id where a token has no context.
	TopUserID string
	Context   Context
}

// Context is Jitsi's context claim.
//
// context, user, room and features must be objects where they are there. A plain member that is null counts as absent
// (issuers in typed languages write null for what is unset). Of the rest, what restricts (regex, lobby, password) or
// names somebody must have its type or the token is malformed; what grants (moderator, security_bypass) grants only as
// a real true or "true", and anything else is no grant.
type Context struct {
	Present bool
	// Raw, User, Group, Room and Features are the JSON as signed; nil where absent.
	Raw, User, Group, Room, Features json.RawMessage

	Tenant    string
	HasTenant bool

	// UserID is a string, or the digits of an integer: issuers number their users, and 42 and "42" are one user to
	// whoever revokes. Other numbers are malformed, because one user would have many spellings.
	UserID, UserName, UserEmail, UserAffiliation string
	Moderator                                    bool

	// RoomRegex says that the room claim is a pattern: true or "true", as upstream.
	RoomRegex bool
	// Lobby and Password are nil where unset.
	Lobby    *bool
	Password *string
	// SecurityBypass comes from context.room or context.user; HasSecurityBypass: one of them says something of it.
	SecurityBypass, HasSecurityBypass bool
}

// Number is a time claim as written.
type Number struct {
	Set bool
	// Text is a number literal of RFC 8259, section 6.
	Text string
}

// Fingerprint is a token's identity: the first 16 bytes of the SHA-256 of its signing input. The signature is no part
// of it, because ECDSA signatures can be rewritten and stay valid.
func Fingerprint(signingInput []byte) [16]byte {
	sum := sha256.Sum256(signingInput)
	return [16]byte(sum[:16])
}

// FingerprintOf gives the fingerprint of a raw token, and false where raw is not three canonical base64url parts:
// no other spelling would be accepted, so it has no identity either.
func FingerprintOf(raw string) ([16]byte, bool) {
	p, problem := split(raw, nil)
	if problem != nil {
		return [16]byte{}, false
	}
	return Fingerprint(p.signingInput()), true
}

// In says whether a token stands in text, alone or among other words: such a text is stored and shown nowhere.
func In(text string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	})
	return slices.ContainsFunc(words, func(word string) bool {
		p, problem := split(strings.Trim(word, "."), nil)
		return problem == nil && bytes.HasPrefix(p.header, []byte("{")) && json.Valid(p.header) // a host named exam.corp.test has the rest
	})
}

func malformed(detail string) *reason.Problem {
	return &reason.Problem{Code: reason.TokenMalformed, Detail: detail}
}
