// Package audit keeps what was decided, so that "why was I not let in?" has an answer.
//
// A decision becomes an Event. The Pipeline takes events without ever making the caller wait, writes them to a spill
// log on disk and from there, in order, to a Store: SQLite for one node, Redis Streams for a fleet. A Reader answers
// questions from the store.
package audit

import (
	"encoding/hex"
	"errors"
	"time"

	"github.com/usher-im/usher/internal/reason"
)

// Kind says what an event is about.
type Kind string

// The kinds of event.
const (
	Decision   Kind = "decision"
	Revocation Kind = "revocation"
	Lift       Kind = "lift"
	Ejection   Kind = "ejection"
	Admin      Kind = "admin"
)

// Verdict is the outcome of a decision.
type Verdict string

// The verdicts. Unavailable: no verdict could be had, the caller was told to try again.
const (
	Allow       Verdict = "allow"
	Deny        Verdict = "deny"
	Unavailable Verdict = "unavailable"
)

// Fingerprint names a token: the first 16 bytes of the SHA-256 of its signing input. The zero value means none.
type Fingerprint [16]byte

// Event is one line of the audit. Its JSON names are a promise to users.
//
// It never holds a token, a signature or a secret. Where Proven is false, whatever was read from the token (issuer,
// subject, user, jti, kid, alg) is only what the token claims.
type Event struct {
	Time time.Time `json:"time"`
	// ID is the decision id that the client was shown, made by NewID.
	ID          string      `json:"id"`
	Kind        Kind        `json:"kind"`
	Proven      bool        `json:"proven"`
	Node        string      `json:"node,omitempty"`
	Host        string      `json:"host,omitempty"`
	Profile     string      `json:"profile,omitempty"`
	Session     string      `json:"session,omitempty"`
	Stage       string      `json:"stage,omitempty"`
	Verdict     Verdict     `json:"verdict,omitempty"`
	Reason      reason.Code `json:"reason,omitempty"`
	Detail      string      `json:"detail,omitempty"`
	Issuer      string      `json:"issuer,omitempty"`
	Subject     string      `json:"subject,omitempty"`
	UserID      string      `json:"user_id,omitempty"`
	UserName    string      `json:"user_name,omitempty"`
	UserEmail   string      `json:"user_email,omitempty"`
	Room        string      `json:"room,omitempty"`
	Tenant      string      `json:"tenant,omitempty"`
	JTI         string      `json:"jti,omitempty"`
	Kid         string      `json:"kid,omitempty"`
	Alg         string      `json:"alg,omitempty"`
	Fingerprint Fingerprint `json:"fingerprint,omitzero"`
	RemoteIP    string      `json:"remote_ip,omitempty"`
	UserAgent   string      `json:"user_agent,omitempty"`
	LatencyUS   int64       `json:"latency_us"`
	// Actor is the credential or local user that revoked, lifted, erased or was refused.
	Actor        string `json:"actor,omitempty"`
	RevocationID string `json:"revocation_id,omitempty"`
	// DecisionID is the decision that an ejection carried out, and Outcome what came of it: ejected, gone or failed.
	DecisionID string `json:"decision_id,omitempty"`
	Outcome    string `json:"outcome,omitempty"`
}

// String is the fingerprint in hex, as queries and revocations take it; empty where there is none.
func (f Fingerprint) String() string {
	if f == (Fingerprint{}) {
		return ""
	}
	return hex.EncodeToString(f[:])
}

// MarshalText writes the fingerprint in hex.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads 32 hex digits, in either case.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*f = Fingerprint{}
		return nil
	}
	if len(text) != 2*len(f) {
		return errFingerprint
	}
	if _, err := hex.Decode(f[:], text); err != nil {
		return errFingerprint
	}
	return nil
}

var errFingerprint = errors.New("a fingerprint is 32 hex digits; take it from an audit row, or give the token itself (`usher audit --token-stdin`)")

// ParseFingerprint reads what String writes.
func ParseFingerprint(text string) (Fingerprint, error) {
	var f Fingerprint
	err := f.UnmarshalText([]byte(text))
	return f, err
}
