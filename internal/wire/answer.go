package wire

import (
	"bytes"
	"strconv"
	"sync"

	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/policy"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/token"
)

// The forms in which an allow is told.
const (
	JSON decide.Form = iota
	Lines
)

// EncodeProven writes what every allow says of a proven token, as members that follow others (in JSON each with a comma before
// it): all of it for the question that showed the token, and what a join needs for one that came with the grant. It is
// written by hand, since it stands on the way of every new token: encoding/json takes ten times as long. Nil where a form
// cannot say it.
func EncodeProven(p *decide.Proven, given *decide.Given, form decide.Form) (full, short []byte) {
	scratch := scratches.Get().(*[]byte)
	defer scratches.Put(scratch)
	b := appendAffiliation((*scratch)[:0], p)
	joins := len(b)
	b = appendIdentity(b, p, given)
	*scratch = b
	if form == Lines {
		if full = inLines(b); full != nil {
			short = inLines(b[:joins])
		}
		return full, short
	}
	full = bytes.Clone(b) // kept for long, so without room that is not used
	return full, full[:joins:joins]
}

var scratches = sync.Pool{New: func() any { return new([]byte) }}

// appendAffiliation writes what a join needs.
func appendAffiliation(b []byte, p *decide.Proven) []byte {
	b = appendText(b, "affiliation", p.Affiliation)
	if p.RoomPolicy != nil {
		b = appendRoomPolicy(appendName(b, "room_policy"), p.RoomPolicy)
	}
	return b
}

func appendRoomPolicy(b []byte, r *policy.RoomPolicy) []byte {
	start := len(b)
	if r.Lobby != nil {
		b = strconv.AppendBool(appendName(b, "lobby"), *r.Lobby)
	}
	if r.Password != nil {
		b = appendString(appendName(b, "password"), *r.Password)
	}
	if r.SecurityBypass != nil {
		b = strconv.AppendBool(appendName(b, "security_bypass"), *r.SecurityBypass)
	}
	return braced(b, start)
}

// appendIdentity writes what a session needs once, beside what a join needs.
func appendIdentity(b []byte, p *decide.Proven, given *decide.Given) []byte {
	b = append(append(append(b, `,"grant":"`...), given.Grant...), '"')
	if given.HasFeatures {
		b = appendFeatures(appendName(b, "features"), given.Features)
	}
	b = appendClaims(appendName(b, "claims"), p.Claims)
	if p.Claims.Context.Present || p.User != nil {
		b = appendContext(appendName(b, "context"), p)
	}
	b = appendSeconds(b, "expires_at", p.ExpiresAt)
	b = appendSeconds(b, "recheck_at", p.RecheckAt)
	if len(given.RevocationKeys) > 0 {
		b = appendNames(appendName(b, "revocation_keys"), given.RevocationKeys)
	}
	return b
}

func appendContext(b []byte, p *decide.Proven) []byte {
	c, start := &p.Claims.Context, len(b)
	b = appendSigned(b, "user", p.User)
	b = appendSigned(b, "group", c.Group)
	b = appendSigned(b, "room", c.Room)
	b = appendText(b, "tenant", c.Tenant)
	return braced(b, start)
}

func appendFeatures(b []byte, features []policy.Feature) []byte {
	start := len(b)
	for i := range features {
		if prosodys(features[i].Name) {
			continue
		}
		b = append(appendString(append(b, ','), features[i].Name), ':')
		b = strconv.AppendBool(b, features[i].Granted)
	}
	return braced(b, start)
}

// appendNames writes names, of which there is at least one, and which have nothing to escape.
func appendNames(b []byte, names []revocation.Name) []byte {
	b = append(b, '[')
	for i := range names {
		b = append(append(append(b, '"'), names[i][:]...), '"', ',')
	}
	b[len(b)-1] = ']'
	return b
}

// appendClaims writes the claims that Jitsi's plugins read beside the context; room as it was signed. With a user_id there
// was no context: what stands as one is made of it, which is not what session.contextRequired asks for.
func appendClaims(b []byte, c *token.Claims) []byte {
	b = appendString(append(b, `{"iss":`...), c.Issuer)
	b = appendString(appendName(b, "sub"), c.Subject)
	switch {
	case c.RoomIsArray:
		b = appendStrings(appendName(b, "room"), c.Room)
	case c.HasRoom:
		b = appendString(appendName(b, "room"), c.Room[0])
	}
	if !c.Context.Present {
		b = appendText(b, "user_id", c.TopUserID)
	}
	return append(b, '}')
}

// AppendAnswer writes the body of a verdict (status 200) to b. told is what EncodeProven made of the token where it is
// an allow that rests on one.
func AppendAnswer(b []byte, v *decide.Verdict, told []byte, decisionID string) []byte {
	switch {
	case v.NeedToken:
		return append(b, `{"need":"token"}`...)
	case v.Problem != nil:
		return appendDeny(b, v.Problem, decisionID)
	}
	b = append(b, `{"allow":true,"decision_id":"`...)
	b = append(b, decisionID...)
	b = append(append(b, '"'), told...)
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
	b = appendString(b, code.Info().Message)
	return append(b, '}')
}

func appendDeny(b []byte, p *reason.Problem, decisionID string) []byte {
	info := p.Code.Info()
	b = append(b, `{"allow":false,"decision_id":"`...)
	b = append(b, decisionID...)
	b = append(b, `","reason":"`...)
	b = append(b, p.Code...)
	b = append(b, `","message":`...)
	b = appendString(b, info.Message)
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
