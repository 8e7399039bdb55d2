package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Differences names the keys outside of profiles that have another value in other, in alphabetical order. Their values
// may be secrets and are not told.
func (c *Config) Differences(other *Config) []string {
	mine, theirs := c.settings(), other.settings()
	maps.DeleteFunc(mine, func(path string, value any) bool {
		other, both := theirs[path]
		delete(theirs, path)
		return both && reflect.DeepEqual(value, other)
	})
	maps.Copy(mine, theirs) // what c has no section for
	return slices.Sorted(maps.Keys(mine))
}

// settings are the values of all keys outside of profiles.
func (c *Config) settings() map[string]any {
	all := map[string]any{}
	visit(reflect.ValueOf(c).Elem(), "", func(section reflect.Value, f field, path string) {
		v := section.Field(f.index)
		if v.Kind() == reflect.Slice && v.Len() == 0 {
			v = reflect.Zero(v.Type()) // outside of profiles an empty list says what none does
		}
		if !strings.HasPrefix(path, "profiles.") {
			all[path] = v.Interface()
		}
	})
	return all
}
