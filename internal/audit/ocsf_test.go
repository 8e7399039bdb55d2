package audit

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/usher-im/usher/internal/reason"
)

// published is what the schema says of a class or an object.
type published struct {
	Required    []string `json:"required"`
	Names       []string `json:"names"`
	Constraints struct {
		AtLeastOne []string `json:"at_least_one"`
	} `json:"constraints"`
}

// shapes of the members that are objects. unmapped takes any name.
var shapes = map[string]string{
	"metadata": "metadata", "product": "product", "user": "user", "service": "service", "src_endpoint": "network_endpoint",
	"dst_endpoint": "network_endpoint", "session": "session", "http_request": "http_request", "actor": "actor",
}

func TestOCSF_EveryNameIsPublished(t *testing.T) {
	text, err := os.ReadFile("testdata/ocsf-authentication-1.8.0.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Version string               `json:"schema_version"`
		Class   published            `json:"class"`
		Enums   map[string][]int     `json:"enums"`
		Objects map[string]published `json:"objects"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for name, e := range ocsfSamples() {
		t.Run(name, func(t *testing.T) {
			var got map[string]any
			line := AppendOCSF(nil, &e)
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			holds(t, "authentication", got, schema.Class, schema.Objects)
			for member, allowed := range schema.Enums {
				if v, ok := got[member].(float64); ok && !slices.Contains(allowed, int(v)) {
					t.Errorf("%s is %v, which is no value of it", member, v)
				}
			}
			if got["class_uid"] != 3002.0 || got["category_uid"] != 3.0 || got["type_uid"] != 300200+got["activity_id"].(float64) {
				t.Errorf("class %v, category %v, type %v, activity %v", got["class_uid"], got["category_uid"], got["type_uid"], got["activity_id"])
			}
			if v := got["metadata"].(map[string]any)["version"]; v != schema.Version {
				t.Errorf("says version %v, was held against %s", v, schema.Version)
			}
		})
	}
}

func holds(t *testing.T, what string, got map[string]any, p published, objects map[string]published) {
	t.Helper()
	for member, v := range got {
		if !slices.Contains(p.Names, member) {
			t.Errorf("%s has no %s", what, member)
		}
		inner, ok := v.(map[string]any)
		if !ok || member == "unmapped" {
			continue
		}
		shape, known := shapes[member]
		if !known {
			t.Errorf("%s.%s: the test does not know its shape", what, member)
		}
		holds(t, shape, inner, objects[shape], objects)
	}
	for _, member := range p.Required {
		if _, ok := got[member]; !ok {
			t.Errorf("%s lacks %s", what, member)
		}
	}
	if one := p.Constraints.AtLeastOne; len(one) > 0 && !slices.ContainsFunc(one, func(m string) bool { _, ok := got[m]; return ok }) {
		t.Errorf("%s has none of %v", what, one)
	}
}

func ocsfSamples() map[string]Event {
	samples := map[string]Event{"full": full(), "empty": {Time: noon, ID: "x", Kind: Decision, Stage: "connect", Verdict: Allow}}
	for _, kind := range kinds {
		e := full()
		e.Kind, e.Verdict, e.Reason = kind, "", ""
		samples[string(kind)+", no verdict"] = e
	}
	for _, info := range reason.All() {
		e := full()
		e.Stage, e.Reason, e.Verdict = "connect", info.Code, Deny
		if info.Unavailable {
			e.Verdict = Unavailable
		}
		samples[string(info.Code)] = e
	}
	return samples
}

func TestOCSF_UnprovenNamesNobody(t *testing.T) {
	e := full()
	e.Proven, e.UserID = false, "victim"
	var got struct {
		User     map[string]string `json:"user"`
		Unmapped map[string]any    `json:"unmapped"`
	}
	if err := json.Unmarshal(AppendOCSF(nil, &e), &got); err != nil {
		t.Fatal(err)
	}
	if got.User["uid"] != "" || got.User["name"] != "(unproven)" || got.Unmapped["user_id"] != "victim" {
		t.Errorf("user %v, unmapped %v", got.User, got.Unmapped)
	}
}
