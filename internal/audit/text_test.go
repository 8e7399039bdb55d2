package audit

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"unicode/utf8"
)

func TestEvent_JSONHasThePromisedNamesAndComesBack(t *testing.T) {
	e := full()
	line, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var names map[string]any
	if err := json.Unmarshal(line, &names); err != nil {
		t.Fatal(err)
	}
	promised := "time id kind proven node host profile session stage verdict reason detail issuer subject user_id room tenant jti kid " +
		"alg fingerprint remote_ip user_agent latency_us actor revocation_id user_name user_email decision_id outcome"
	for _, name := range strings.Fields(promised) {
		if _, ok := names[name]; !ok {
			t.Errorf("%s is missing", name)
		}
		delete(names, name)
	}
	if len(names) != 0 {
		t.Errorf("names that nobody was promised: %v", names)
	}
	var back Event
	if err := json.Unmarshal(line, &back); err != nil || !reflect.DeepEqual(back, e) {
		t.Errorf("%v\n got %+v\nwant %+v", err, back, e)
	}
}

func TestEvent_JSONOfAnyTextIsJSON(t *testing.T) {
	same := func(s string) bool {
		var back string
		err := json.Unmarshal(appendString(nil, s), &back)
		return err == nil && back == strings.ToValidUTF8(s, "\ufffd")
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
	for _, s := range []string{"", "a\u202eb", "\U000e0041", "</script>", "\x00\x1f\x7f\"\\", "\u2028", "😀"} {
		if !same(s) {
			t.Errorf("%q became %s", s, appendString(nil, s))
		}
	}
	for _, s := range []string{"", "a\u202eb", "\U000e0041", "\u009b\x7f\"\\", "\u200b", "😀ä"} {
		text, err := json.Marshal(map[string]string{s: s})
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]string
		seen := string(EscapeJSON(nil, text))
		if err := json.Unmarshal([]byte(seen), &back); err != nil || back[s] != s || needsCleaning(seen) {
			t.Errorf("%q is shown as %s (%v)", s, seen, err)
		}
	}
	if got := string(appendString(nil, "a\u202eb")); got != `"a\u202eb"` {
		t.Errorf("an override is written as %s", got)
	}
}

func TestClean_SpellsOutWhatFoolsAReader(t *testing.T) {
	for in, want := range map[string]string{
		"plain ümlaut 会議": "plain ümlaut 会議",
		"a\x1b[31mred":    `a\x1b[31mred`,
		"two\nlines":      `two\nlines`,
		"gpj\u202eexe":    `gpj\u202eexe`,
		"zero\u200bwidth": `zero\u200bwidth`,
		"bad\xffutf8":     `bad\xffutf8`,
		"\u2066x\u2069":   `\u2066x\u2069`,
		"line\u2028sep":   `line\u2028sep`,
		"tag\U000e0041":   `tag\U000e0041`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
	for _, long := range []string{strings.Repeat("x", 5000), strings.Repeat("\u202e", 5000), strings.Repeat("é", 5000)} {
		if got := Clean(long); len(got) > maxField || !utf8.ValidString(got) {
			t.Errorf("cut to %d bytes", len(got))
		}
	}
}

func TestCell_IsNotAFormula(t *testing.T) {
	for in, want := range map[string]string{
		`=cmd|' /C calc'!A0`: `'=cmd|' /C calc'!A0`, "+1": "'+1", "-2+3": "'-2+3", "@SUM(A1)": "'@SUM(A1)",
		"＝1+1": "'＝1+1", "＠SUM(A1)": "'＠SUM(A1)", "＋1": "'＋1", "－1": "'－1", // as some spreadsheets read them in East Asian locales
		"room": "room", "": "", "\t=1": `\t=1`,
	} {
		if got := Cell(in); got != want {
			t.Errorf("Cell(%q) = %q, want %q", in, got, want)
		}
	}
}
