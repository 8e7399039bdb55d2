package mint

import (
	"fmt"
	"strings"
)

// Set puts value into claims at path ("context.user.id"), making the objects on the way.
func Set(claims map[string]any, path string, value any) error {
	names := strings.Split(path, ".")
	object := claims
	for i, name := range names {
		if name == "" {
			return fmt.Errorf("the claim path %q has an empty name", path)
		}
		if i == len(names)-1 {
			object[name] = value
			return nil
		}
		if object[name] == nil {
			object[name] = map[string]any{}
		}
		next, ok := object[name].(map[string]any)
		if !ok {
			return fmt.Errorf("the claim %s cannot be set: %s is not an object", path, strings.Join(names[:i+1], "."))
		}
		object = next
	}
	return nil
}
