package policy

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/usher-im/usher/internal/token"
)

// FeatureRules are an issuer's rules about features (issuers[].features).
type FeatureRules struct {
	// Allow lists what a token may grant; with HasAllow, anything else that it names becomes false.
	Allow []string
	// Default fills in what the token does not name.
	Default map[string]bool
	// Force has the last word.
	Force    map[string]bool
	HasAllow bool
}

func (r FeatureRules) set() bool { return r.HasAllow || len(r.Default) > 0 || len(r.Force) > 0 }

// Feature is one of context.features, normalised.
type Feature struct {
	Name    string
	Granted bool
}

// Features normalises context.features and applies the issuer's rules. Each feature stands once in the list, which
// takes the memory of room. Not said means that neither the token nor the rules say anything: for Jitsi's plugins, moderators
// then have the defaults. Said with an empty list means that nothing is allowed. The notes tell what was counted as
// false although the token has something else there, sorted by feature.
func Features(room []Feature, raw json.RawMessage, rules FeatureRules) (features []Feature, said bool, notes []string) {
	if len(raw) == 0 && !rules.set() {
		return room[:0], false, nil
	}
	features = room[:0]
	sound := len(raw) == 0 || token.Members(raw, func(name string, value json.RawMessage) {
		granted, note := normal(value)
		if granted && rules.HasAllow && !slices.Contains(rules.Allow, name) {
			granted, note = false, "is not on the issuer's list (features.allow)"
		}
		if note != "" {
			notes = append(notes, fmt.Sprintf("feature %.64q %s", name, note))
		}
		features = append(features, Feature{name, granted})
	})
	slices.Sort(notes)
	if !sound { // what is not an object grants nothing
		features, notes = room[:0], []string{"context.features is not an object and counts as empty"}
	}
	for name, granted := range rules.Default {
		if at(features, name) < 0 {
			features = append(features, Feature{name, granted})
		}
	}
	for name, granted := range rules.Force {
		if i := at(features, name); i >= 0 {
			features[i].Granted = granted
		} else {
			features = append(features, Feature{name, granted})
		}
	}
	return features, true, notes
}

func at(features []Feature, name string) int {
	return slices.IndexFunc(features, func(f Feature) bool { return f.Name == name })
}

// normal reads one value as Jitsi's issuers write them. Only what plainly means true grants.
func normal(raw json.RawMessage) (granted bool, note string) {
	switch string(raw) { // nearly every value there is
	case `true`, `"true"`:
		return true, ""
	case `false`, `"false"`:
		return false, ""
	}
	var value any
	if json.Unmarshal(raw, &value) == nil {
		switch value {
		case "true", 1.0:
			return true, ""
		case "false", 0.0:
			return false, ""
		}
	}
	return false, fmt.Sprintf("is %.64s and counts as false", raw)
}
