package wire

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/policy"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

func TestSigned_IsSpeltAsAnswersAre(t *testing.T) {
	for signed, want := range map[string]string{
		`{"id":"u-1","name":"Zoë M."}`:               `,"x":{"id":"u-1","name":"Zoë M."}`,
		"{ \"id\" : \"u-1\",\n\t\"n\" : [ 1 , 2 ] }": `,"x":{"id":"u-1","n":[1,2]}`,
		`{"name":"Zo\u00eb \ud83d\ude00 \/"}`:        `,"x":{"name":"Zoë 😀 /"}`,
		`{"a\u0062":"\"\\\u0000\n"}`:                 `,"x":{"ab":"\"\\\u0000\n"}`,
		`{"a":null,"b":1,"c":null}`:                  `,"x":{"b":1}`,
		`{"a":null}`:                                 `,"x":{}`,
		`{"a":{"b":null},"c":[null,1,null,[]]}`:      `,"x":{"a":{},"c":[1,[]]}`,
		`[null, null]`:                               `,"x":[]`,
		`"null"`:                                     `,"x":"null"`,
		`-1.50e+3`:                                   `,"x":-1.50e+3`,
		`[18446744073709551615,0.123456789012345]`:   `,"x":[18446744073709551615,0.123456789012345]`,
		`null`: ``,
		``:     ``,
	} {
		if got := string(appendSigned(nil, "x", json.RawMessage(signed))); got != want {
			t.Errorf("%s: %s, want %s", signed, got, want)
		}
	}
}

// Prosody's util.json would read {"id":"u","__hash":["id","v"]} as the user v, and break on "__hash":true.
func TestSigned_NoMemberMeansOthersToProsody(t *testing.T) {
	p := newProven(t, `{"iss":"a","sub":"b","context":{"user":{"__hash":["id","v"],"id":"u","more":[{"__array":["w"]}]}}}`, &decide.Proven{},
		&decide.Given{HasFeatures: true, Features: []policy.Feature{{Name: "__hash", Granted: true}, {Name: "recording", Granted: true}}})
	for _, want := range []string{`"context":{"user":{"id":"u","more":[{}]}}`, `"features":{"recording":true}`} {
		if !strings.Contains(string(p.full), want) {
			t.Errorf("%s, want %s in it", p.full, want)
		}
	}
}

func TestSigned_ContextThatIsNullIsNone(t *testing.T) {
	p := newProven(t, `{"iss":"a","sub":"b","context":{"user":{"id":"u","avatar":null},"group":null}}`, &decide.Proven{}, &decide.Given{})
	if want := `"context":{"user":{"id":"u"}}`; !strings.Contains(string(p.full), want) {
		t.Errorf("%s, want %s in it", p.full, want)
	}
}

// FuzzSigned respells whatever a token may sign, and holds what it means to encoding/json's reading.
func FuzzSigned(f *testing.F) {
	for _, s := range []string{`{"a":[1,null,{"b":"c"}]}`, `"\ud83d\ude00"`, "[ 1 ,\t2e5, true ]", `{"__hash":["id",{"\u005f_array":[1]}]}`, `{"id":18446744073709551615}`, `null`, `{"x" : { }, "y":"\u0022"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, signed string) {
		raw, err := mint.Raw(token.HS256, []byte(strings.Repeat("k", 32)), []byte(`{"alg":"HS256"}`), []byte(`{"iss":"a","context":{"user":{"more":`+signed+`}}}`))
		if err != nil {
			return
		}
		parsed, problem := token.Parse(raw, token.Limits{})
		if problem != nil {
			return
		}
		value := parsed.Claims.Context.User
		got := append(appendSigned([]byte(`{"a":1`), "x", value), '}')
		want := map[string]any{"a": json.Number("1"), "x": without(decoded(t, value))}
		if have := decoded(t, got); !reflect.DeepEqual(have, any(want)) {
			t.Fatalf("%q became %q", value, got)
		}
		if compact := new(bytes.Buffer); json.Compact(compact, got) != nil || compact.String() != string(got) {
			t.Fatalf("%q became %q, which is not compact", value, got)
		}
	})
}

func decoded(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// without leaves out what is null or Prosody's own.
func without(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if member == nil || name == "__hash" || name == "__array" {
				delete(v, name)
			} else {
				v[name] = without(member)
			}
		}
	case []any:
		kept := []any{}
		for _, element := range v {
			if element != nil {
				kept = append(kept, without(element))
			}
		}
		return kept
	}
	return v
}
