package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	claimed, notes := claimedFeatures(raw)
	features = make(map[string]bool, len(claimed)+len(rules.Default)+len(rules.Force))
	for _, name := range slices.Sorted(maps.Keys(claimed)) {
		granted, note := normal(claimed[name])
		if granted && rules.HasAllow && !slices.Contains(rules.Allow, name) {
			granted, note = false, "is not on the issuer's list (features.allow)"
		}
		if note != "" {
			notes = append(notes, fmt.Sprintf("feature %.64q %s", name, note))
		}
		features[name] = granted
	}
	for name, granted := range rules.Default {
		if _, named := features[name]; !named {
			features[name] = granted
		}
	}
	maps.Copy(features, rules.Force)
	return features, notes
}

// claimedFeatures reads the claim; what is not an object grants nothing.
func claimedFeatures(raw json.RawMessage) (map[string]json.RawMessage, []string) {
	if len(raw) == 0 {
		return nil, nil
	}
	var claimed map[string]json.RawMessage
	if err := json.Unmarshal(raw, &claimed); err != nil || claimed == nil {
		return nil, []string{"context.features is not an object and counts as empty"}
	}
	return claimed, nil
}

// normal reads one value as Jitsi's issuers write them. Only what plainly means true grants.
func normal(raw json.RawMessage) (granted bool, note string) {
	word := string(raw)
	if len(raw) > 0 && raw[0] == '"' {
		if err := json.Unmarshal(raw, &word); err != nil {
			word = ""
		}
	} else if number, err := strconv.ParseFloat(word, 64); err == nil && (number == 0 || number == 1) {
		return number == 1, ""
	}
	switch word {
	case "true":
		return true, ""
	case "false":
		return false, ""
	}
	return false, fmt.Sprintf("is %.64s and counts as false", raw)
}
