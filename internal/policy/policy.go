// Package policy says what an allowed token gives its session: features, affiliation, room policy and the user as other
// plugins see it. It is pure: plain functions over proven claims.
package policy

import (
	"encoding/json"

	"github.com/usher-im/usher/internal/token"
)

// MUC affiliations that a token gives.
const (
	Owner  = "owner"
	Member = "member"
)

// Affiliation is owner for those whom Jitsi's token_affiliation makes owners, else member.
func Affiliation(c *token.Claims) string {
	switch c.Context.UserAffiliation {
	case "owner", "moderator", "teacher":
		return Owner
	}
	if c.Context.Moderator {
		return Owner
	}
	return Member
}

// RoomPolicy is what a token asks of the room that its session enters.
type RoomPolicy struct {
	// Lobby: on, off, or nil for as it is.
	Lobby *bool
	// Password to set; "" removes it, nil leaves it.
	Password *string
	// SecurityBypass: this session enters past password and lobby, or not; nil where the token does not say.
	SecurityBypass *bool
}

// Room gives the token's room policy, nil where it has none.
func Room(c *token.Claims) *RoomPolicy {
	if c.Context.Lobby == nil && c.Context.Password == nil && !c.Context.HasSecurityBypass {
		return nil
	}
	p := &RoomPolicy{Lobby: c.Context.Lobby, Password: c.Context.Password}
	if c.Context.HasSecurityBypass {
		p.SecurityBypass = &c.Context.SecurityBypass
	}
	return p
}

// User is context.user as signed. A token without a context but with user_id gives {"id": user_id}, as upstream.
func User(c *token.Claims) json.RawMessage {
	if c.Context.Present {
		return c.Context.User
	}
	if c.TopUserID == "" {
		return nil
	}
	user, err := json.Marshal(struct {
		ID string `json:"id"`
	}{c.TopUserID})
	if err != nil { // a string always encodes
		return nil
	}
	return user
}
