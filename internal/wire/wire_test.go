package wire

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/policy"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

func golden(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sameJSON compares meaning, not spelling.
func sameJSON(t *testing.T, name string, got []byte) {
	t.Helper()
	var have, want any
	if err := json.Unmarshal(got, &have); err != nil {
		t.Fatalf("%s: what was written is not JSON (%v): %s", name, err, got)
	}
	if err := json.Unmarshal(golden(t, name), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("%s:\n got %s\nwant %s", name, got, golden(t, name))
	}
}

func TestQuestion_GoldenFilesAreReadMemberByMember(t *testing.T) {
	const grant = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA"
	const tok = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJteS1hcHAifQ.c2lnbmF0dXJl"
	want := map[string]decide.Question{
		"question-connect": {ID: "000102030405060708090a0b0c0d0e0f", Token: tok, Stage: decide.Connect, Host: "meet.example.com",
			Profile: "jigasi", Room: "daily@conference.meet.example.com", Tenant: "acme", Session: "c2s5581",
			RemoteIP: "198.51.100.7", UserAgent: "Mozilla/5.0 (\"quoted\" \\ and\ttabbed) Jitsi"},
		"question-join": {ID: "101112131415161718191a1b1c1d1e1f", Grant: grant, Stage: decide.Join, Host: "meet.example.com",
			Room: "[acme]daily@conference.meet.example.com", Tenant: "acme", Session: "c2s5581", RemoteIP: "198.51.100.7",
			UserAgent: "Jitsi", RoomRequiresAuth: true},
		"question-create": {ID: "202122232425262728292a2b2c2d2e2f", Grant: grant, Stage: decide.Create, Host: "meet.example.com",
			Room: "café@conference.meet.example.com", Session: "c2s5581"},
		"question-recheck": {ID: "303132333435363738393a3b3c3d3e3f", Token: tok, Stage: decide.Recheck, Host: "meet.example.com",
			Room: "daily@conference.meet.example.com", Session: "c2s5582", PreviousSession: "c2s5581", RemoteIP: "2001:db8::7"},
		"question-guest": {ID: "404142434445464748494a4b4c4d4e4f", Stage: decide.Connect, Host: "meet.example.com",
			Session: "c2s5583", RemoteIP: "198.51.100.8"},
	}
	files, err := filepath.Glob("testdata/question-*.json")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d golden questions, %d expected: %v", len(files), len(want), err)
	}
	for name, q := range want {
		got, err := ParseQuestion(golden(t, name))
		if err != nil || got != q {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, q)
		}
	}
}

func TestQuestion_WhateverCouldBeReadTwoWaysIsRefused(t *testing.T) {
	const good = `"id":"1","stage":"connect","host":"h"`
	for name, body := range map[string]string{
		"empty":                               ``,
		"not an object":                       `[]`,
		"unclosed":                            `{` + good,
		"something follows":                   `{` + good + `}{}`,
		"a NUL follows":                       "{" + good + "}\x00",
		"invalid UTF-8":                       "{" + good + ",\"room\":\"\xff\"}",
		"member twice":                        `{` + good + `,"host":"other"}`,
		"boolean member twice":                `{` + good + `,"room_requires_auth":true,"room_requires_auth":false}`,
		"stage twice":                         `{` + good + `,"stage":"join"}`,
		"number for a string":                 `{"id":1,"stage":"connect","host":"h"}`,
		"null for a string":                   `{` + good + `,"token":null}`,
		"string for a boolean":                `{` + good + `,"room_requires_auth":"true"}`,
		"unknown stage":                       `{"id":"1","stage":"enter","host":"h"}`,
		"no id":                               `{"stage":"connect","host":"h"}`,
		"long id":                             `{"id":"` + strings.Repeat("a", 65) + `","stage":"connect","host":"h"}`,
		"no host":                             `{"id":"1","stage":"connect"}`,
		"token and grant":                     `{` + good + `,"token":"a","grant":"b"}`,
		"join without room":                   `{"id":"1","stage":"join","host":"h"}`,
		"trailing comma":                      `{` + good + `,}`,
		"leading comma":                       `{,` + good + `}`,
		"half a surrogate":                    `{` + good + `,"room":"\ud800"}`,
		"wrong surrogate":                     `{` + good + `,"room":"\ud800\u0041"}`,
		"control character":                   "{" + good + ",\"room\":\"a\nb\"}",
		"unknown escape":                      `{` + good + `,"room":"\x41"}`,
		"no colon":                            `{"id" "1","stage":"connect","host":"h"}`,
		"ends in a string":                    `{` + good + `,"room":"a`,
		"ends in a string after an escape":    `{` + good + `,"room":"\u0041a`,
		"ends in a backslash":                 `{` + good + `,"room":"a\`,
		"ends in an escape":                   `{` + good + `,"room":"\u00`,
		"ends in half a surrogate pair":       `{` + good + `,"room":"\ud83d\`,
		"ends in the second half":             `{` + good + `,"room":"\ud83d\ud`,
		"a control character after an escape": "{" + good + ",\"room\":\"\\u0041\n\"}",
		"half a pair before no backslash":     `{` + good + `,"room":"\ud83dxude00"}`,
		"half a pair before another escape":   `{` + good + `,"room":"\ud83d\xde00"}`,
		"below the digits":                    `{` + good + `,"room":"\u004/"}`,
		"above the digits":                    `{` + good + `,"room":"\u004:"}`,
		"below the big letters":               `{` + good + `,"room":"\u004@"}`,
		"above the big letters":               `{` + good + `,"room":"\u004G"}`,
		"below the small":                     "{" + good + ",\"room\":\"\\u004`\"}",
		"above the small":                     `{` + good + `,"room":"\u004g"}`,
		"half a word in unknown":              `{` + good + `,"x":tru}`,
		"no comma in unknown":                 `{` + good + `,"x":[1 2]}`,
		"no name in unknown":                  `{` + good + `,"x":{1:2}}`,
		"no colon in unknown":                 `{` + good + `,"x":{"a" 1}}`,
		"no digit in unknown":                 `{` + good + `,"x":-}`,
		"no fraction in unknown":              `{` + good + `,"x":1.}`,
		"no exponent in unknown":              `{` + good + `,"x":1e+}`,
		"ends in a number":                    `{` + good + `,"x":1`,
		"bad number in unknown":               `{` + good + `,"x":01}`,
		"deep nesting":                        `{` + good + `,"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"escaped name, repeated":              `{` + good + `,"h\u006fst":"other"}`,
	} {
		if q, err := ParseQuestion(slices.Clip([]byte(body))); err == nil {
			t.Errorf("%s was taken: %+v", name, q)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: not one sentence: %v", name, err)
		}
	}
}

func TestQuestion_UnknownMembersAreIgnored(t *testing.T) {
	q, err := ParseQuestion([]byte(` { "x" : [1,{"y":null,"z":[true,-1.5e+3,"\u00E9"]}], "id":"` + strings.Repeat("i", 64) + `" , "stage":"connect","host":"h","room_requires_auth":false,
		"new":{"a":0,"b":[109,1E5,1e-5,false]}} `))
	if err != nil || len(q.ID) != 64 || q.Host != "h" || q.RoomRequiresAuth {
		t.Fatalf("%+v, %v", q, err)
	}
}

func TestQuestion_EscapesAreUndone(t *testing.T) {
	q, err := ParseQuestion([]byte(`{"id":"1","stage":"connect","host":"h","user_agent":"\"\\\/\b\f\n\r\t\u00e9\u00EF\ud83d\ude00"}`))
	if want := "\"\\/\b\f\n\r\téï😀"; err != nil || q.UserAgent != want {
		t.Fatalf("%q, %v", q.UserAgent, err)
	}
}

// FuzzParseQuestion: whatever we take, encoding/json takes with the same meaning.
func FuzzParseQuestion(f *testing.F) {
	files, _ := filepath.Glob("testdata/question-*.json")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := ParseQuestion(body)
		if err != nil {
			return
		}
		var other struct {
			ID, Token, Grant, Host, Room, Session string
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(body, &members); err != nil {
			t.Fatalf("taken, but not JSON: %v", err)
		}
		for name, field := range map[string]*string{"id": &other.ID, "token": &other.Token, "grant": &other.Grant, "host": &other.Host, "room": &other.Room, "session": &other.Session} {
			if raw, ok := members[name]; ok {
				if err := json.Unmarshal(raw, field); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
		if q.ID != other.ID || q.Token != other.Token || q.Grant != other.Grant || q.Host != other.Host || q.Room != other.Room || q.Session != other.Session {
			t.Fatalf("read differently: %+v and %+v", q, other)
		}
	})
}

// proven is a token as the golden answers show it, with what is told of it in full and for a join.
type proven struct {
	*decide.Proven
	full, short      []byte
	lines, joinLines []byte
}

func newProven(t *testing.T, payload string, p *decide.Proven, given *decide.Given) proven {
	t.Helper()
	claims := claimsOf(t, payload)
	p.Claims, p.User, p.RoomPolicy = &claims, policy.User(&claims), policy.Room(&claims)
	p.ExpiresAt = 1790000000
	given.Grant = []byte("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA")
	full, short := EncodeProven(p, given, JSON)
	lines, joinLines := EncodeProven(p, given, Lines)
	return proven{p, full, short, lines, joinLines}
}

// names are revocation keys that repeat two characters.
func names(of ...string) (all []revocation.Name) {
	for _, s := range of {
		all = append(all, revocation.Name([]byte(strings.Repeat(s, 6))))
	}
	return all
}

// told is a verdict with what is told of its token, in both forms.
type told struct {
	verdict     decide.Verdict
	json, lines []byte
}

// allows are the verdicts of the golden files answer-allow-*.
func allows(t *testing.T) map[string]told {
	t.Helper()
	full := newProven(t, `{"iss":"my-app","sub":"meet.example.com","room":"daily","context":{"user":{"id":"u-1","name":"Ada \"A\" Lövelace"},"group":"staff","room":{"lobby":false,"password":"","security_bypass":true},"tenant":"acme"}}`,
		&decide.Proven{Affiliation: "owner", RecheckAt: 1790000010},
		&decide.Given{Features: []policy.Feature{{Name: "recording", Granted: true}, {Name: "livestreaming"}}, HasFeatures: true, RevocationKeys: names("k1", "k2")})
	plain := newProven(t, `{"iss":"my-app","sub":"*","room":"*"}`, &decide.Proven{Affiliation: "member"}, &decide.Given{RevocationKeys: names("k1")})
	user := newProven(t, `{"iss":"my-app","sub":"*","room":"*","user_id":"u-1"}`, &decide.Proven{Affiliation: "member"}, &decide.Given{RevocationKeys: names("k1")})
	bypass := newProven(t, `{"iss":"my-app","sub":"*","room":"*","context":{"user":{"security_bypass":true}}}`, &decide.Proven{Affiliation: "owner"}, &decide.Given{})
	return map[string]told{
		"answer-allow-connect":       {decide.Verdict{TenantMismatch: true, Proven: full.Proven}, full.full, full.lines},
		"answer-allow-connect-plain": {decide.Verdict{Proven: plain.Proven}, plain.full, plain.lines},
		"answer-allow-connect-user":  {decide.Verdict{Proven: user.Proven}, user.full, user.lines},
		"answer-allow-guest":         {decide.Verdict{}, nil, nil},
		"answer-allow-join":          {decide.Verdict{Proven: bypass.Proven}, bypass.short, bypass.joinLines},
		"answer-allow-join-mismatch": {decide.Verdict{TenantMismatch: true, Proven: plain.Proven}, plain.short, plain.joinLines},
	}
}

func TestAnswer_IsWrittenAsTheGoldenFiles(t *testing.T) {
	answers := allows(t)
	answers["answer-deny"] = told{verdict: decide.Verdict{Problem: &reason.Problem{Code: reason.RoomMismatch, Detail: "never shown"}}}
	answers["answer-deny-no-code"] = told{verdict: decide.Verdict{Problem: &reason.Problem{Code: reason.TokenExpired}}}
	answers["answer-need-token"] = told{verdict: decide.Verdict{NeedToken: true}}
	for name, c := range answers {
		id, _ := decisionID(t, name)
		sameJSON(t, name, AppendAnswer(nil, &c.verdict, c.json, id))
	}
	id, _ := decisionID(t, "answer-unavailable")
	sameJSON(t, "answer-unavailable", AppendUnavailable(nil, reason.KeyUnavailable, id))
}

// The wire contract's own example: what a token says no to is told, and what it does not speak of is left out.
func TestAnswer_TellsWhatTheTokenSaysNoTo(t *testing.T) {
	for room, want := range map[string]string{
		`{"lobby":false,"password":"","security_bypass":false}`: `"room_policy":{"lobby":false,"password":"","security_bypass":false}`,
		`{"security_bypass":"false"}`:                           `"room_policy":{"security_bypass":false}`,
		`{"lobby":true,"security_bypass":null}`:                 `"room_policy":{"lobby":true}`,
		`{"security_bypass":null}`:                              ``,
	} {
		p := newProven(t, `{"iss":"my-app","sub":"*","room":"*","context":{"room":`+room+`}}`, &decide.Proven{Affiliation: "member"}, &decide.Given{})
		for _, told := range [][]byte{p.full, p.short} {
			if got := string(told); !strings.Contains(got, want) || strings.Contains(got, "room_policy") != (want != "") {
				t.Errorf("%s: got %s", room, got)
			}
		}
	}
}

func TestAnswer_SaysWhatTheTokenSaysAndNoMore(t *testing.T) {
	for payload, want := range map[string]string{
		`{"iss":"a","sub":"b","room":["one","two\t\r"]}`:                  `"claims":{"iss":"a","sub":"b","room":["one","two\t\r"]}`,
		`{"iss":"a","sub":"b","room":["one"]}`:                            `"claims":{"iss":"a","sub":"b","room":["one"]}`,
		`{"iss":"a","sub":"b","room":[]}`:                                 `"claims":{"iss":"a","sub":"b","room":[]}`,
		`{"iss":"a","sub":"b","context":{"room":{"lobby":true}}}`:         `"room_policy":{"lobby":true}`,
		`{"iss":"a","sub":"b","context":{"room":{"password":"p"}}}`:       `"room_policy":{"password":"p"}`,
		`{"iss":"a","sub":"b","user_id":"u","context":{"tenant":"acme"}}`: `"context":{"tenant":"acme"}`,
	} {
		p := newProven(t, payload, &decide.Proven{}, &decide.Given{})
		if got := AppendAnswer(nil, &decide.Verdict{}, p.full, "ID"); !strings.Contains(string(got), want) || !json.Valid(got) {
			t.Errorf("%s: %s, want %s in it", payload, got, want)
		}
	}
	deny := decide.Verdict{Problem: &reason.Problem{Code: reason.RoomMismatch, JitsiCode: "room-name-does-not-match"}}
	if got := string(AppendAnswer(nil, &deny, nil, "ID")); !strings.Contains(got, `"jitsi_code":"room-name-does-not-match"`) {
		t.Errorf("a code of the problem's own: %s", got)
	}
}

func TestAnswer_EveryReasonIsJSONAndNeverShowsItsDetail(t *testing.T) {
	for _, info := range reason.All() {
		v := decide.Verdict{Problem: &reason.Problem{Code: info.Code, Detail: "DETAIL"}}
		for _, body := range [][]byte{AppendAnswer(nil, &v, nil, "ID"), AppendUnavailable(nil, info.Code, "ID")} {
			if !json.Valid(body) || strings.Contains(string(body), "DETAIL") {
				t.Errorf("%s: %s", info.Code, body)
			}
		}
	}
}

func TestAnswer_EmptyFeaturesDifferFromNone(t *testing.T) {
	for want, said := range map[string]bool{`"features":{}`: true, "": false} {
		p := newProven(t, `{"iss":"a","sub":"b"}`, &decide.Proven{}, &decide.Given{HasFeatures: said})
		got := string(AppendAnswer(nil, &decide.Verdict{}, p.full, "ID"))
		if strings.Contains(got, "features") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%v: %s", said, got)
		}
	}
}

func decisionID(t *testing.T, name string) (string, bool) {
	t.Helper()
	var a struct {
		ID string `json:"decision_id"`
	}
	if err := json.Unmarshal(golden(t, name), &a); err != nil {
		t.Fatal(err)
	}
	return a.ID, a.ID != ""
}

func claimsOf(t *testing.T, payload string) token.Claims {
	t.Helper()
	return parsed(t, payload).Claims
}

func parsed(t *testing.T, payload string) *token.Token {
	t.Helper()
	raw, err := mint.Raw(token.HS256, []byte(strings.Repeat("k", 32)), []byte(`{"alg":"HS256"}`), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	tok, problem := token.Parse(raw, token.Limits{})
	if problem != nil {
		t.Fatal(problem)
	}
	return tok
}
