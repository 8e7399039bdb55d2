package wire

import (
	"encoding/json"
	"strconv"

	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/reason"
)

// allowance is all of an allow that the claims alone decide.
type allowance struct {
	Grant          string           `json:"grant,omitempty"`
	Features       *map[string]bool `json:"features,omitempty"`
	Affiliation    string           `json:"affiliation,omitempty"`
	RoomPolicy     *roomPolicy      `json:"room_policy,omitempty"`
	Claims         *claims          `json:"claims,omitempty"`
	Context        *context         `json:"context,omitempty"`
	ExpiresAt      int64            `json:"expires_at,omitempty"`
	RecheckAt      int64            `json:"recheck_at,omitempty"`
	RevocationKeys []string         `json:"revocation_keys,omitempty"`
}

type roomPolicy struct {
	Lobby          *bool   `json:"lobby,omitempty"`
	Password       *string `json:"password,omitempty"`
	SecurityBypass bool    `json:"security_bypass,omitempty"`
}

type claims struct {
	Iss  string          `json:"iss"`
	Sub  string          `json:"sub"`
	Room json.RawMessage `json:"room,omitempty"`
}

type context struct {
	User   json.RawMessage `json:"user,omitempty"`
	Group  json.RawMessage `json:"group,omitempty"`
	Room   json.RawMessage `json:"room,omitempty"`
	Tenant string          `json:"tenant,omitempty"`
}

// EncodeProven writes what every allow says of a proven token, as members that follow others (each with a comma before
// it): all of it for the question that showed the token, and what a join needs for one that came with the grant.
func EncodeProven(p *decide.Proven) (full, short []byte) {
	join := allowance{Affiliation: p.Affiliation}
	if r := p.RoomPolicy; r != nil {
		join.RoomPolicy = &roomPolicy{Lobby: r.Lobby, Password: r.Password, SecurityBypass: r.SecurityBypass}
	}
	all := join
	all.Grant, all.ExpiresAt, all.RecheckAt, all.RevocationKeys = p.Grant, p.ExpiresAt, p.RecheckAt, p.RevocationKeys
	if p.Features != nil {
		all.Features = &p.Features
	}
	all.Claims = &claims{Iss: p.Claims.Issuer, Sub: p.Claims.Subject}
	all.Claims.Room, _ = p.Claims.Lookup("room")
	if c := p.Claims.Context; c.Present || p.User != nil {
		all.Context = &context{User: p.User, Group: c.Group, Room: c.Room, Tenant: c.Tenant}
	}
	return members(all), members(join)
}

func members(a allowance) []byte {
	b, err := json.Marshal(a)
	if err != nil {
		// Every raw part was read by the token's own strict scanner: a failure here is a bug, not an input.
		panic("a proven token cannot be written as JSON: " + err.Error())
	}
	if len(b) == len("{}") {
		return nil
	}
	b[0] = ','
	return b[:len(b)-1]
}

// AppendAnswer writes the body of a verdict (status 200) to b. NeedToken and allows are written from prepared parts.
func AppendAnswer(b []byte, v *decide.Verdict, decisionID string) []byte {
	switch {
	case v.NeedToken:
		return append(b, `{"need":"token"}`...)
	case v.Problem != nil:
		return appendDeny(b, v.Problem, decisionID)
	}
	b = append(b, `{"allow":true,"decision_id":"`...)
	b = append(b, decisionID...)
	b = append(b, '"')
	switch {
	case v.Proven == nil:
	case v.Full:
		b = append(b, v.Proven.Full...)
	default:
		b = append(b, v.Proven.Short...)
	}
	if v.TenantMismatch {
		b = append(b, `,"tenant_mismatch":true`...)
	}
	return append(b, '}')
}

// AppendUnavailable writes the body that goes with status 503: no verdict can be had now.
func AppendUnavailable(b []byte, code reason.Code, decisionID string) []byte {
	b = append(b, `{"decision_id":"`...)
	b = append(b, decisionID...)
	b = append(b, `","reason":"`...)
	b = append(b, code...)
	b = append(b, `","message":`...)
	b = strconv.AppendQuote(b, code.Info().Message)
	return append(b, '}')
}

func appendDeny(b []byte, p *reason.Problem, decisionID string) []byte {
	info := p.Code.Info()
	b = append(b, `{"allow":false,"decision_id":"`...)
	b = append(b, decisionID...)
	b = append(b, `","reason":"`...)
	b = append(b, p.Code...)
	b = append(b, `","message":`...)
	b = strconv.AppendQuote(b, info.Message)
	b = append(b, `,"condition":"`...)
	b = append(b, info.Condition...)
	b = append(b, '"')
	code := info.JitsiCode
	if p.JitsiCode != "" {
		code = p.JitsiCode
	}
	if code != "" {
		b = append(b, `,"jitsi_code":"`...)
		b = append(b, code...)
		b = append(b, '"')
	}
	return append(b, '}')
}
