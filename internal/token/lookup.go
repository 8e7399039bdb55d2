package token

import "encoding/json"

// Lookup finds a claim by its path, such as "context.user.id".
func (c *Claims) Lookup(path string) (json.RawMessage, bool) {
	return nil, false
}
