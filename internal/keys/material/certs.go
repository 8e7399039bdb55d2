package material

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Certificates takes a JSON object from kid to PEM certificate or public key, as Firebase publishes it, with the rules
// of JWKS: bad ones are left out by name, and a map without any good one is an error.
func Certificates(data []byte) (keys []Key, left []error, err error) {
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(data, &entries); err != nil || entries == nil {
		return nil, nil, errors.New(`it is no map from kid to certificate: it must be one JSON object {"kid": "-----BEGIN CERTIFICATE-----…"}`)
	}
	if len(entries) > most {
		return nil, nil, fmt.Errorf("it holds %d keys; at most %d are taken", len(entries), most)
	}
	for _, kid := range slices.Sorted(maps.Keys(entries)) {
		var text string
		if err := json.Unmarshal(entries[kid], &text); err != nil {
			left = append(left, leftOut(0, kid, errors.New("it is not a string that holds a certificate")))
			continue
		}
		k, err := PEM([]byte(text), "")
		if err != nil {
			left = append(left, leftOut(0, kid, err))
			continue
		}
		k.Kid = kid
		keys = append(keys, k)
	}
	return some(keys, left)
}
