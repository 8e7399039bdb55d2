package policy

import (
	"testing"

	"github.com/usher-im/usher/internal/token"
)

func claims(context token.Context) *token.Claims { return &token.Claims{Context: context} }

func TestAffiliation_IsOwnerForThoseWhomJitsiMakesOwners(t *testing.T) {
	for _, c := range []struct {
		context token.Context
		want    string
	}{
		{token.Context{UserAffiliation: "owner"}, Owner},
		{token.Context{UserAffiliation: "moderator"}, Owner},
		{token.Context{UserAffiliation: "teacher"}, Owner},
		{token.Context{Moderator: true}, Owner},
		{token.Context{UserAffiliation: "member", Moderator: true}, Owner},
		{token.Context{UserAffiliation: "Owner"}, Member},
		{token.Context{UserAffiliation: "admin"}, Member},
		{token.Context{UserAffiliation: "none"}, Member},
		{token.Context{UserAffiliation: "outcast"}, Member},
		{token.Context{}, Member},
	} {
		if got := Affiliation(claims(c.context)); got != c.want {
			t.Errorf("%+v: got %q", c.context, got)
		}
	}
}

func TestRoomPolicy_IsNoneWhereTheTokenAsksForNothing(t *testing.T) {
	if got := Room(claims(token.Context{})); got != nil {
		t.Errorf("got %+v", got)
	}
}

func TestRoomPolicy_TellsOnOffAndUnsetApart(t *testing.T) {
	yes, no, empty := true, false, ""
	for _, context := range []token.Context{
		{Lobby: &yes}, {Lobby: &no}, {Password: &empty},
		{HasSecurityBypass: true, SecurityBypass: true}, {HasSecurityBypass: true},
		{Lobby: &no, Password: &empty, HasSecurityBypass: true, SecurityBypass: true},
	} {
		got := Room(claims(context))
		if got == nil || got.Lobby != context.Lobby || got.Password != context.Password || (got.SecurityBypass != nil) != context.HasSecurityBypass ||
			got.SecurityBypass != nil && *got.SecurityBypass != context.SecurityBypass {
			t.Errorf("%+v: got %+v", context, got)
		}
	}
}

func TestUser_IsAsSignedOrMadeOfUserID(t *testing.T) {
	for _, c := range []struct {
		claims token.Claims
		want   string
	}{
		{token.Claims{Context: token.Context{Present: true, User: []byte(`{"id":"u1","name":"Ada"}`)}}, `{"id":"u1","name":"Ada"}`},
		{token.Claims{Context: token.Context{Present: true, User: []byte(`{}`)}, TopUserID: "u2"}, `{}`},
		{token.Claims{Context: token.Context{Present: true}, TopUserID: "u2"}, ``}, // as upstream: only without a context
		{token.Claims{TopUserID: "u2"}, `{"id":"u2"}`},
		{token.Claims{TopUserID: `a"b` + "\x01"}, `{"id":"a\"b\u0001"}`},
		{token.Claims{}, ``},
	} {
		if got := string(User(&c.claims)); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
