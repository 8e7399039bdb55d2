package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func features(t *testing.T, raw string, rules FeatureRules, want map[string]bool, notes ...string) {
	t.Helper()
	got, gotNotes := named(t, raw, rules)
	if (got == nil) != (want == nil) || !maps.Equal(got, want) {
		t.Errorf("%s under %+v: got %v, want %v", raw, rules, got, want)
	}
	if !slices.Equal(gotNotes, notes) {
		t.Errorf("%s under %+v: noted %q, want %q", raw, rules, gotNotes, notes)
	}
}

type on = map[string]bool

// named gives the features by name, nil where nothing is said, and makes sure that each stands once.
func named(t *testing.T, raw string, rules FeatureRules) (on, []string) {
	t.Helper()
	before := []Feature{{"of another token", true}}
	list, said, notes := Features(before, json.RawMessage(raw), rules)
	if !said {
		if len(list) > 0 {
			t.Fatalf("%s under %+v: nothing is said, and the list is %v", raw, rules, list)
		}
		return nil, notes
	}
	got := on{}
	for _, f := range list {
		if _, twice := got[f.Name]; twice {
			t.Fatalf("%s under %+v: %q stands twice in %v", raw, rules, f.Name, list)
		}
		got[f.Name] = f.Granted
	}
	return got, notes
}

func TestFeatures_AreNormalised(t *testing.T) {
	features(t, `{"a":true,"b":"true","c":1,"d":1.0,"e":"\u0074rue"}`, FeatureRules{}, on{"a": true, "b": true, "c": true, "d": true, "e": true})
	features(t, `{"a":false,"b":"false","c":0,"d":-0}`, FeatureRules{}, on{"a": false, "b": false, "c": false, "d": false})
}

func TestFeatures_AnythingElseIsFalseAndNoted(t *testing.T) {
	features(t, `{"a":"TRUE","b":2,"c":null,"d":{"x":true},"e":["true"],"f":"1","g":"","h":1e308}`, FeatureRules{},
		on{"a": false, "b": false, "c": false, "d": false, "e": false, "f": false, "g": false, "h": false},
		`feature "a" is "TRUE" and counts as false`,
		`feature "b" is 2 and counts as false`,
		`feature "c" is null and counts as false`,
		`feature "d" is {"x":true} and counts as false`,
		`feature "e" is ["true"] and counts as false`,
		`feature "f" is "1" and counts as false`,
		`feature "g" is "" and counts as false`,
		`feature "h" is 1e308 and counts as false`,
	)
}

func TestFeatures_AbsentAndEmptyDiffer(t *testing.T) {
	features(t, ``, FeatureRules{}, nil)
	features(t, `{}`, FeatureRules{}, on{})
	features(t, ``, FeatureRules{HasAllow: true}, on{})
	features(t, ``, FeatureRules{Default: on{"recording": false}}, on{"recording": false})
}

func TestFeatures_WhatIsNotOnTheListBecomesFalse(t *testing.T) {
	rules := FeatureRules{Allow: []string{"recording"}, HasAllow: true}
	features(t, `{"recording":true,"livestreaming":true,"flip":false}`, rules,
		on{"recording": true, "livestreaming": false, "flip": false},
		`feature "livestreaming" is not on the issuer's list (features.allow)`)
	features(t, `{"recording":false}`, rules, on{"recording": false})
	features(t, `{"flip":true,"branding":1}`, rules, on{"flip": false, "branding": false},
		`feature "branding" is not on the issuer's list (features.allow)`,
		`feature "flip" is not on the issuer's list (features.allow)`)
	features(t, `{"recording":true}`, FeatureRules{HasAllow: true}, on{"recording": false},
		`feature "recording" is not on the issuer's list (features.allow)`)
}

func TestFeatures_DefaultFillsInAndForceHasTheLastWord(t *testing.T) {
	rules := FeatureRules{
		Allow: []string{"recording", "livestreaming"}, HasAllow: true,
		Default: on{"transcription": true, "recording": false},
		Force:   on{"branding": false, "livestreaming": true},
	}
	features(t, `{"recording":"true","branding":true}`, rules,
		on{"recording": true, "transcription": true, "branding": false, "livestreaming": true},
		`feature "branding" is not on the issuer's list (features.allow)`)
	features(t, ``, rules, on{"recording": false, "transcription": true, "branding": false, "livestreaming": true})
	force := FeatureRules{Force: on{"branding": false, "flip": true}}
	features(t, `{"branding":true,"flip":false}`, force, on{"branding": false, "flip": true})
	features(t, ``, force, on{"branding": false, "flip": true})
}

func TestFeatures_OfAWrongTypeGrantNothing(t *testing.T) {
	const note = "context.features is not an object and counts as empty"
	for _, raw := range []string{`null`, `[]`, `true`, `"x"`, `{`, `{"recording":true`, `[["recording",true]]`} {
		features(t, raw, FeatureRules{}, on{}, note)
	}
}

func TestFeatures_NotesAreShort(t *testing.T) {
	raw := `{"` + strings.Repeat("n", 500) + `":"` + strings.Repeat("v", 500) + `"}`
	_, notes := named(t, raw, FeatureRules{})
	if len(notes) != 1 || len(notes[0]) > 200 {
		t.Errorf("got %q", notes)
	}
}

// Rules belong to the config: a token must not write to them.
func TestFeatures_LeaveTheRulesAsTheyAre(t *testing.T) {
	rules := FeatureRules{Default: on{"a": true}, Force: on{"b": true}}
	got, _ := named(t, `{"c":true}`, rules)
	got["a"], got["b"] = false, false
	if !rules.Default["a"] || !rules.Force["b"] || len(rules.Default) != 1 || len(rules.Force) != 1 {
		t.Errorf("got %+v", rules)
	}
}

func FuzzFeatures(f *testing.F) {
	for _, raw := range []string{``, `{}`, `{"recording":"true","flip":1}`, `{"a":{"b":[1e999]}}`, `{"a":-0.0}`, `null`, "{\"\xff\":true}", `{"a":"\ud800"}`} {
		f.Add(raw, "recording")
	}
	f.Fuzz(func(t *testing.T, raw, allowed string) {
		free, _ := named(t, raw, FeatureRules{})
		if (free == nil) != (raw == "") {
			t.Fatalf("%q: got %v", raw, free)
		}
		var values map[string]any
		if json.Unmarshal([]byte(raw), &values) == nil {
			for name, granted := range free {
				if v := values[name]; granted != (v == true || v == "true" || v == 1.0) {
					t.Fatalf("%q: %q is %v", raw, name, granted)
				}
			}
		}
		bound, _ := named(t, raw, FeatureRules{Allow: []string{allowed}, HasAllow: true})
		for name, granted := range bound {
			if granted && (name != allowed || !free[name]) {
				t.Fatalf("%q: %q is granted past the list", raw, name)
			}
		}
	})
}
