package token_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// compact joins header and payload without a signature that counts: Parse does not look.
func compact(header, payload string) string {
	return mint.Unsigned([]byte(header), []byte(payload)) + "AAAA"
}

func parse(payload string) (*token.Token, *reason.Problem) {
	return token.Parse(compact(`{"alg":"HS256"}`, payload), token.Limits{})
}

func mustParse(t testing.TB, payload string) *token.Token {
	t.Helper()
	parsed, problem := parse(payload)
	if problem != nil {
		t.Fatalf("%s: %v", payload, problem)
	}
	return parsed
}

const deploymentPage = `{
  "context": {
    "user": {"id": "u-1", "avatar": "https:\/\/example.com\/a.png", "name": "Zoë \ud83d\ude00", "email": "zoe@example.com",
             "affiliation": "owner", "moderator": "true"},
    "group": "planning", "tenant": "acme",
    "room": {"security_bypass": true, "lobby": false, "password": "", "regex": true},
    "features": {"recording": "true", "livestreaming": false}
  },
  "aud": "jitsi", "iss": "my-app", "sub": "meet.example.com", "room": "daily", "jti": "j-1", "user_id": "old",
  "iat": 1790000000000, "nbf": 1790000000000, "exp": 1790003600000.5, "other": [1, {"a": null}]
}`

func TestClaims_OfTheDeploymentPageAreAllRead(t *testing.T) {
	parsed := mustParse(t, deploymentPage)
	got := parsed.Claims
	off, empty := false, ""
	want := token.Claims{
		Raw: []byte(deploymentPage), Issuer: "my-app", Subject: "meet.example.com",
		Audience: []string{"jitsi"}, JTI: "j-1", Room: []string{"daily"}, HasRoom: true,
		IssuedAt:  token.Number{Set: true, Text: "1790000000000"},
		NotBefore: token.Number{Set: true, Text: "1790000000000"},
		Expires:   token.Number{Set: true, Text: "1790003600000.5"},
		TopUserID: "old",
		Context: token.Context{
			Present: true, Raw: between(t, deploymentPage, `{
    "user"`, `false}
  }`),
			User:  between(t, deploymentPage, `{"id"`, `"true"}`),
			Group: []byte(`"planning"`), Room: between(t, deploymentPage, `{"security_bypass"`, `"regex": true}`),
			Features: between(t, deploymentPage, `{"recording"`, `false}`),
			Tenant:   "acme", HasTenant: true,
			UserID: "u-1", UserName: "Zoë 😀", UserEmail: "zoe@example.com", UserAffiliation: "owner", Moderator: true,
			RoomRegex: true, Lobby: &off, Password: &empty, SecurityBypass: true, HasSecurityBypass: true,
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func between(t testing.TB, text, from, to string) []byte {
	t.Helper()
	start := strings.Index(text, from)
	end := start + strings.Index(text[start:], to) + len(to)
	return []byte(text[start:end])
}

func TestClaims_OfAnEmptyTokenAreAllAbsent(t *testing.T) {
	got := mustParse(t, `{}`).Claims
	if want := (token.Claims{Raw: []byte(`{}`)}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

// every is a value of each JSON type.
var every = map[string]string{
	"null": "null", "bool": "true", "number": "7", "float": "7.5", "string": `"x"`, "array": `["x"]`,
	"mixed": `["x",1]`, "nested": `[["x"]]`, "object": `{"x":1}`, "empty": `[]`,
}

// types says which of these each member takes; with all others the token is malformed and the detail names the member.
var types = map[string]string{
	"iss": "string", "sub": "string", "jti": "string",
	"aud": "string array empty", "room": "string array empty",
	"iat": "number float", "nbf": "number float", "exp": "number float",
	"user_id":      "string number null",
	"context":      "object",
	"context.user": "object", "context.room": "object", "context.features": "object",
	"context.group": "string null", "context.tenant": "string null",
	"context.user.id":   "string number null",
	"context.user.name": "string null", "context.user.email": "string null", "context.user.affiliation": "string null",
	"context.room.regex": "bool null", "context.room.lobby": "bool null", "context.room.password": "string null",
	// What grants may have any type, and grants nothing but as true.
	"context.user.moderator":       "null bool number float string array mixed nested object empty",
	"context.user.security_bypass": "null bool number float string array mixed nested object empty",
	"context.room.security_bypass": "null bool number float string array mixed nested object empty",
	// What usher does not know may have any type.
	"context.user.avatar": "null bool number float string array mixed nested object empty",
	"other":               "null bool number float string array mixed nested object empty",
	"context.other":       "null bool number float string array mixed nested object empty",
	"context.room.other":  "null bool number float string array mixed nested object empty",
}

func TestClaims_OfTheWrongTypeAreMalformed(t *testing.T) {
	for member, taken := range types {
		for kind, value := range every {
			path := strings.Split(member, ".")
			payload := value
			for i := len(path) - 1; i >= 0; i-- {
				payload = fmt.Sprintf("{%q:%s}", path[i], payload)
			}
			_, problem := parse(payload)
			if want := strings.Contains(" "+taken+" ", " "+kind+" "); (problem == nil) != want {
				t.Errorf("%s: %v, want taken %t", payload, problem, want)
				continue
			}
			if problem != nil && (problem.Code != reason.TokenMalformed || !strings.HasPrefix(problem.Detail, member+" must be ")) {
				t.Errorf("%s: %v does not name the member", payload, problem)
			}
		}
	}
}

func TestClaims_GrantOnlyByTrue(t *testing.T) {
	for value, want := range map[string]bool{
		`true`: true, `"true"`: true, `"\u0074rue"`: true, `false`: false, `"false"`: false, `1`: false, `"1"`: false,
		`"TRUE"`: false, `"true "`: false, `"yes"`: false, `null`: false, `["true"]`: false, `{"true":true}`: false, `""`: false,
	} {
		c := mustParse(t, `{"context":{"user":{"moderator":`+value+`}}}`).Claims.Context
		if c.Moderator != want || c.SecurityBypass {
			t.Errorf("moderator %s: %+v", value, c)
		}
		for _, where := range []string{"user", "room"} {
			c := mustParse(t, `{"context":{"`+where+`":{"security_bypass":`+value+`}}}`).Claims.Context
			if c.SecurityBypass != want || c.HasSecurityBypass != (value != `null`) || c.Moderator {
				t.Errorf("%s.security_bypass %s: %+v", where, value, c)
			}
		}
	}
	for _, payload := range []string{
		`{"context":{"user":{"security_bypass":true},"room":{"security_bypass":false}}}`,
		`{"context":{"room":{"security_bypass":false},"user":{"security_bypass":"true"}}}`,
		`{"context":{"room":{"security_bypass":true},"user":{"security_bypass":false}}}`,
	} {
		if !mustParse(t, payload).Claims.Context.SecurityBypass {
			t.Errorf("%s: no bypass, though one of both gives it", payload)
		}
	}
}

func TestClaims_RoomFlags(t *testing.T) {
	on, off := true, false
	for value, want := range map[string]*bool{`true`: &on, `"true"`: &on, `false`: &off, `"false"`: &off, `null`: nil} {
		c := mustParse(t, `{"context":{"room":{"lobby":`+value+`,"regex":`+value+`}}}`).Claims.Context
		if !reflect.DeepEqual(c.Lobby, want) || c.RoomRegex != (want == &on) {
			t.Errorf("%s: lobby %v, regex %t", value, c.Lobby, c.RoomRegex)
		}
	}
	for _, value := range []string{`"yes"`, `"TRUE"`, `1`, `0`, `""`, `{}`} {
		for _, flag := range []string{"lobby", "regex"} {
			if _, problem := parse(`{"context":{"room":{"` + flag + `":` + value + `}}}`); problem == nil {
				t.Errorf("%s %s restricts nobody and is taken", flag, value)
			}
		}
	}
	if c := mustParse(t, `{"context":{"room":{"password":"p\u00e4ss"}}}`).Claims.Context; c.Password == nil || *c.Password != "päss" {
		t.Errorf("password %v", c.Password)
	}
}

func TestClaims_APlainMemberThatIsNullIsAbsent(t *testing.T) {
	const payload = `{"user_id":null,"context":{"group":null,"tenant":null,"user":{"id":null,"name":null,"email":null,"affiliation":null},
		"room":{"regex":null,"lobby":null,"password":null}}}`
	got := mustParse(t, payload).Claims
	if got.Context.User == nil || got.Context.Room == nil {
		t.Fatalf("%+v", got.Context)
	}
	got.Raw, got.Context.Raw, got.Context.User, got.Context.Room = nil, nil, nil, nil
	if want := (token.Claims{Context: token.Context{Present: true}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestClaims_UserIDHasOneSpelling(t *testing.T) {
	for value, want := range map[string]string{
		`"u-1"`: "u-1", `""`: "", `null`: "", `0`: "0", `42`: "42", `-7`: "-7", `90071992547409931234`: "90071992547409931234",
	} {
		parsed := mustParse(t, `{"user_id":`+value+`,"context":{"user":{"id":`+value+`}}}`)
		if parsed.Claims.TopUserID != want || parsed.Claims.Context.UserID != want {
			t.Errorf("%s: %q and %q", value, parsed.Claims.TopUserID, parsed.Claims.Context.UserID)
		}
		if id, ok := parsed.Claims.Identity("context.user.id"); id != want || ok != (want != "") {
			t.Errorf("Identity of %s: %q, %t", value, id, ok)
		}
	}
	for _, value := range []string{`42.0`, `4.2e1`, `42E0`, `-0`, `1e2`, `true`, `[42]`, `{}`} {
		if _, problem := parse(`{"context":{"user":{"id":` + value + `}}}`); problem == nil {
			t.Errorf("the user id %s is taken", value)
		}
		if id, ok := mustParse(t, `{"x":`+value+`}`).Claims.Identity("x"); ok {
			t.Errorf("Identity of %s is %q", value, id)
		}
	}
}

func TestClaims_RoomsAndAudiences(t *testing.T) {
	for _, c := range []struct {
		value string
		want  []string
		array bool
	}{
		{`"a"`, []string{"a"}, false}, {`""`, []string{""}, false}, {`["a"]`, []string{"a"}, true},
		{`["a","b" , "\u0063"]`, []string{"a", "b", "c"}, true}, {`[ ]`, []string{}, true}, {`["*"]`, []string{"*"}, true},
	} {
		got := mustParse(t, `{"room":`+c.value+`,"aud":`+c.value+`}`).Claims
		if !got.HasRoom || got.RoomIsArray != c.array || !reflect.DeepEqual(got.Room, c.want) || !reflect.DeepEqual(got.Audience, c.want) {
			t.Errorf("%s: %+v", c.value, got)
		}
	}
}

func TestClaims_NameAtMost256RoomsOrAudiences(t *testing.T) {
	for _, member := range []string{"room", "aud"} {
		payload := `{"` + member + `":["a"` + strings.Repeat(`,"b"`, 255) + `]}`
		if _, problem := parse(payload); problem != nil {
			t.Errorf("256 in %s: %v", member, problem)
		}
		payload = strings.Replace(payload, `"a"`, `"a","c"`, 1)
		if _, problem := parse(payload); problem == nil || !strings.HasPrefix(problem.Detail, member+" must be at most 256") {
			t.Errorf("257 in %s: %v", member, problem)
		}
	}
}

func TestClaims_OtherNamesAreOtherClaims(t *testing.T) {
	// encoding/json would take each of these for the claim itself.
	got := mustParse(t, `{"ISS":"x","Iss":7,"EXP":"x","Room":7,"Context":7,"i\u017fs":"x"}`).Claims
	if got.Issuer != "" || got.HasRoom || got.Expires.Set || got.Context.Present {
		t.Errorf("%+v", got)
	}
}
