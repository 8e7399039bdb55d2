package token_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/token"
)

func TestLookup_FollowsPathsAsSigned(t *testing.T) {
	const payload = `{"a":{"b":{"c": [1, 2] },"d":null,"e":false,"f":"","g.h":{"i":1}},"x.y":2,"x":{"y":1},"n":7,
		"https://example.com/role":"admin","https://example.com/u":{"id":"u"},"esc\u0061ped":{"k":1},"":0,
		"p":{"q.r":1},"p.q":{"r":2},"s":{"t":{"u":3}},"s.t":{"v":4}}`
	claims := mustParse(t, payload).Claims
	for path, want := range map[string]string{
		"a.b.c": "[1, 2]", "a.b": `{"c": [1, 2] }`, "a.e": "false", "a.f": `""`, "n": "7", "a.g.h.i": "1", "a.g.h": `{"i":1}`,
		"x.y": "2", "https://example.com/role": `"admin"`, "https://example.com/u.id": `"u"`, "escaped.k": "1", "": "0", "p.q.r": "2",
		"s.t.u": "3",
	} {
		if got, ok := claims.Lookup(path); !ok || string(got) != want {
			t.Errorf("Lookup(%q) = %s, %t, want %s", path, got, ok, want)
		}
	}
	for _, path := range []string{"b", "a.", ".a", "a..b", "a.b.c.0", "n.x", "a.d", "A.b", "x.y.z", "a.b.", "https://example.com/u.name"} {
		if got, ok := claims.Lookup(path); ok {
			t.Errorf("Lookup(%q) = %s", path, got)
		}
	}
}

func TestLookup_InClaimsOfNobodyFindsNothing(t *testing.T) {
	var none token.Claims
	if got, ok := none.Lookup("iss"); ok {
		t.Errorf("found %s", got)
	}
}

func TestMembers_AreGivenAsSignedAndOnlyFromAnObject(t *testing.T) {
	for raw, want := range map[string]string{
		`{"a":true, "b" : [1,{"c":null}],"d\u0065":"\u00e9"}`: `a=true b=[1,{"c":null}] de="\u00e9" true`,
		`{}`:               `true`,
		`{"a":1,"a":2}`:    `a=1 false`,
		`{"a":1}x`:         `a=1 false`,
		`{"a":1,`:          `a=1 false`,
		`[1]`:              `false`,
		``:                 `false`,
		"{\"a\":\"\xff\"}": `false`,
	} {
		var got strings.Builder
		sound := token.Members(json.RawMessage(raw), func(name string, value json.RawMessage) {
			fmt.Fprintf(&got, "%s=%s ", name, value)
		})
		if fmt.Fprint(&got, sound); got.String() != want {
			t.Errorf("%s: got %s, want %s", raw, got.String(), want)
		}
	}
}
