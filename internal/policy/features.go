package policy

import (
	"encoding/json"
	"fmt"
	"maps"
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

// Features normalises context.features and applies the issuer's rules. A nil map means that neither the token nor the
// rules say anything: for Jitsi's plugins, moderators then have the defaults. An empty map means that nothing is allowed.
// The notes say what was counted as false although the token has something else there, sorted by feature.
func Features(raw json.RawMessage, rules FeatureRules) (features map[string]bool, notes []string) {
	if len(raw) == 0 && !rules.set() {
		return nil, nil
	}
	features = make(map[string]bool, len(rules.Default)+len(rules.Force))
	sound := len(raw) == 0 || token.Members(raw, func(name string, value json.RawMessage) {
		granted, note := normal(value)
		if granted && rules.HasAllow && !slices.Contains(rules.Allow, name) {
			granted, note = false, "is not on the issuer's list (features.allow)"
		}
		if note != "" {
			notes = append(notes, fmt.Sprintf("feature %.64q %s", name, note))
		}
		features[name] = granted
	})
	slices.Sort(notes)
	if !sound { // what is not an object grants nothing
		clear(features)
		notes = []string{"context.features is not an object and counts as empty"}
	}
	for name, granted := range rules.Default {
		if _, named := features[name]; !named {
			features[name] = granted
		}
	}
	maps.Copy(features, rules.Force)
	return features, notes
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
