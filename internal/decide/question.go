// Package decide gives the verdict on one question of a Prosody: it runs the checks in their fixed order, names the
// first that fails, and explains all of them when asked.
//
// It is the core: it knows neither HTTP nor a store, and is told the time.
package decide

import (
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
)

// Stage says where in a session's life the question is asked.
type Stage string

// The stages of the wire contract.
const (
	// Connect: the SASL step. A room in the question is for the audit alone.
	Connect Stage = "connect"
	// Create: a join of a room that does not exist yet.
	Create Stage = "create"
	// Join: a join of a room that exists.
	Join Stage = "join"
	// Recheck: a session that the feed, its expiry or a resumption puts in question.
	Recheck Stage = "recheck"
)

// Valid tells whether s is one of the four stages.
func (s Stage) Valid() bool { return s == Connect || s == Create || s == Join || s == Recheck }

// NeedsRoom tells whether a question of this stage is about a room.
func (s Stage) NeedsRoom() bool { return s == Create || s == Join }

// judgesRoom: at connect the room is only what the URL says.
func (s Stage) judgesRoom() bool { return s != Connect }

// Question is what the shim asks, as in the wire contract. Its strings may alias the request's buffer: whoever keeps
// one past the answer clones it.
type Question struct {
	ID, Token, Grant         string
	Stage                    Stage
	Host, Profile            string
	Room, Tenant             string
	Session, PreviousSession string
	RemoteIP, UserAgent      string
	RoomRequiresAuth         bool
}

// Verdict is the answer to one Question.
type Verdict struct {
	// Problem is nil where the answer is allow. Problem.Code.Info().Unavailable tells a deny from "cannot say".
	Problem *reason.Problem
	// NeedToken: the grant is not known here; nothing was decided. All else is unset.
	NeedToken bool
	// Full: the question came with a token, so the answer tells all that the token gives, not only what a join needs.
	Full bool
	// Proven is what the token's signature has proven; nil for guests and for whatever failed before.
	Proven *Proven
	// Claimed is what an unproven token says of itself: for the audit, marked as such, and for nothing else.
	Claimed *token.Token
	// ClaimedUser is who the bearer is by that, read as it is from a proven token.
	ClaimedUser string
	// Profile that judged; empty where none was found.
	Profile string
	// IssuerBlock is the iss of the config's issuer block that the token fell under, by its own word where Proven is nil;
	// empty where none did. Its values are those of the config, whatever tokens say.
	IssuerBlock string
	// TenantMismatch: the tenant of the URL is not the token's (Jitsi's plugins read it).
	TenantMismatch bool
	// RevocationID names the revocation behind token_revoked.
	RevocationID string
}

// Allow tells whether the bearer may pass.
func (v *Verdict) Allow() bool { return v.Problem == nil && !v.NeedToken }
