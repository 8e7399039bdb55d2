package wire

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/policy"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// readLines reads one value, and what is left behind it. It is written from what LinesType says, and for the tests alone.
func readLines(t *testing.T, in string) (value any, rest string) {
	t.Helper()
	line, rest, ok := strings.Cut(in, "\n")
	if !ok || line == "" {
		t.Fatalf("no value in %q", in)
	}
	count := func() int {
		n, err := strconv.Atoi(line[1:])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	switch line[0] {
	case '"':
		return line[1:], rest
	case 't', 'f':
		return line == "t", rest
	case '{':
		members := map[string]any{}
		for range count() {
			name, behind, _ := strings.Cut(rest, "\n")
			members[name], rest = readLines(t, behind)
		}
		return members, rest
	case '[':
		list := []any{}
		for range count() {
			var v any
			v, rest = readLines(t, rest)
			list = append(list, v)
		}
		return list, rest
	}
	var n float64
	if err := json.Unmarshal([]byte(line), &n); err != nil {
		t.Fatal(err)
	}
	return n, rest
}

func whole(t *testing.T, in []byte) any {
	t.Helper()
	v, rest := readLines(t, string(in))
	if rest != "" {
		t.Fatalf("%q follows in %q", rest, in)
	}
	return v
}

// allow is what the JSON form says, without the decision id.
func allow(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "decision_id")
	return members
}

func TestLines_AllowsAreWrittenAsTheGoldenFilesAndSayWhatTheJSONSays(t *testing.T) {
	seen := 0
	for name, c := range allows(t) {
		file := filepath.Join("testdata", name+".lines")
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := AppendLines(nil, &c.verdict, c.lines)
		if !ok || !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
		if cap(c.lines) > len(c.json) {
			t.Errorf("%s: %d bytes are kept for %d", name, cap(c.lines), len(c.lines))
		}
		if told := whole(t, got); !reflect.DeepEqual(told, any(allow(t, golden(t, name)))) {
			t.Errorf("%s: lines say %v", name, told)
		}
		seen++
	}
	if files, err := filepath.Glob("testdata/*.lines"); err != nil || len(files) != seen {
		t.Errorf("%d golden files in lines, %d tested: %v", len(files), seen, err)
	}
}

func TestLines_WhatTheyCannotSayIsToldInJSON(t *testing.T) {
	for name, payload := range map[string]string{
		"a line break in a text":   `{"iss":"a","sub":"b","context":{"user":{"name":"x\ny"}}}`,
		"a line break in a name":   `{"iss":"a","sub":"b","context":{"user":{"x\ny":1}}}`,
		"a line break deep within": `{"iss":"a","sub":"b","context":{"room":{"x":[{"y":["\u000a"]}]}}}`,
		"a line break in a room":   `{"iss":"a","sub":"b","room":["one","two\n"]}`,
	} {
		p := newProven(t, payload, &decide.Proven{}, &decide.Given{})
		if p.lines != nil || p.joinLines != nil {
			t.Errorf("%s: %q", name, p.lines)
		}
		if out, ok := AppendLines([]byte("x"), &decide.Verdict{Proven: p.Proven}, p.lines); ok || string(out) != "x" {
			t.Errorf("%s: %q", name, out)
		}
	}
	for _, v := range []decide.Verdict{{NeedToken: true}, {Problem: &reason.Problem{Code: reason.RoomMismatch}}} {
		if out, ok := AppendLines(nil, &v, nil); ok || out != nil {
			t.Errorf("what is no allow: %q", out)
		}
	}
}

// FuzzLines spells whatever a token may sign in lines, and holds what they say to what the JSON says.
func FuzzLines(f *testing.F) {
	for _, s := range []string{`{"a":[1,null,{"b":"c"}],"":"","t":[true,false]}`, `{"x" : { }, "y":"\u0022\\"}`, `{"n":-1.5e+3}`, `{"__hash":[1]}`, `{"a":"\n"}`, `{"a":"t","b":"{2","c":"[","d":"\r\u2028"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, user string) {
		raw, err := mint.Raw(token.HS256, []byte(strings.Repeat("k", 32)), []byte(`{"alg":"HS256"}`), []byte(`{"iss":"a","sub":"b","context":{"user":`+user+`}}`))
		if err != nil {
			return
		}
		tok, problem := token.Parse(raw, token.Limits{})
		if problem != nil {
			return
		}
		given := decide.Given{Grant: []byte("g"), HasFeatures: true, Features: []policy.Feature{{Name: "recording", Granted: true}}}
		p := &decide.Proven{Claims: &tok.Claims, User: policy.User(&tok.Claims), Affiliation: "owner"}
		full, _ := EncodeProven(p, &given, JSON)
		lines, _ := EncodeProven(p, &given, Lines)
		v := decide.Verdict{Proven: p, TenantMismatch: true}
		told := allow(t, AppendAnswer(nil, &v, full, "ID"))
		out, said := AppendLines(nil, &v, lines)
		if !said {
			if !strings.Contains(string(full), `\n`) {
				t.Fatalf("lines cannot say %s", full)
			}
			return
		}
		if got := whole(t, out); !reflect.DeepEqual(got, any(told)) {
			t.Fatalf("lines say %v, JSON says %v", got, told)
		}
	})
}
