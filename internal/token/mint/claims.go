package mint

import (
	"fmt"
	"strings"
)

// Set puts value into claims at path ("context.user.id"), making the objects on the way. A dot that belongs to a name
// has a backslash before it (`https://example\.com/role`).
func Set(claims map[string]any, path string, value any) error {
	names := split(path)
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

func split(path string) []string {
	names := []string{""}
	for i := 0; i < len(path); i++ {
		last := len(names) - 1
		switch {
		case path[i] == '\\' && strings.HasPrefix(path[i+1:], "."):
			i++
			names[last] += "."
		case path[i] == '.':
			names = append(names, "")
		default:
			names[last] += path[i : i+1]
		}
	}
	return names
}
