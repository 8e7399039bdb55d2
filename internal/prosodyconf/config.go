package prosodyconf

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Config is a Prosody config as its files leave it: options by host, with what is set for all hosts under Global.
type Config struct {
	Global Values
	// Hosts are the virtual hosts and components, in the order in which the files name them.
	Hosts []*Host
	// Files are those that were read, in order.
	Files []string

	sources sources
}

// Host is a VirtualHost or a Component.
type Host struct {
	Name string
	// Component is the module of a component ("muc"; "component" for an external one), and empty for a virtual host.
	Component string
	// Where the host is first named: file:line.
	Where string
	// Options are the host's own; Lookup falls back to the global ones.
	Options Values

	global Values
}

// Values are options by name.
type Values map[string]Value

// Value is one option: a string, bool, float64, List, Map, or nil for what is none of these.
type Value struct {
	Is any
	// Where it was set: file:line.
	Where string
}

// List is a table of consecutive values; Map is any other table.
type (
	List []any
	Map  map[string]any
)

// Host finds a host by name.
func (c *Config) Host(name string) (*Host, bool) {
	i := slices.IndexFunc(c.Hosts, func(h *Host) bool { return h.Name == strings.ToLower(name) })
	if i < 0 {
		return nil, false
	}
	return c.Hosts[i], true
}

// Lookup gives an option as the host's modules see it: its own, else the one that is set for all.
func (h *Host) Lookup(name string) (Value, bool) {
	if v, ok := h.Options[name]; ok {
		return v, true
	}
	v, ok := h.global[name]
	return v, ok
}

// The getters read as Prosody's module API does (core/moduleapi.lua): of a list where one value is wanted the first
// counts, a single value where a list is wanted is a list of one, and what cannot be read counts as not set.

// String gives an option as text.
func (h *Host) String(name, unset string) string {
	v, ok := h.Lookup(name)
	if !ok {
		return unset
	}
	return cmp.Or(text(scalar(v.Is)), unset)
}

// Bool gives an option as a switch.
func (h *Host) Bool(name string, unset bool) bool {
	v, _ := h.Lookup(name)
	switch scalar(v.Is) {
	case true, "true", 1.0:
		return true
	case false, "false", 0.0:
		return false
	}
	return unset
}

// Strings gives an option as a list of texts.
func (h *Host) Strings(name string, unset ...string) []string {
	v, ok := h.Lookup(name)
	if !ok {
		return unset
	}
	list, isList := v.Is.(List)
	if !isList {
		list = List{v.Is}
	}
	var texts []string
	for _, item := range list {
		if s := text(item); s != "" {
			texts = append(texts, s)
		}
	}
	return texts
}

// Loads tells whether the host's own modules_enabled names a module.
func (h *Host) Loads(module string) bool {
	own := Host{Options: h.Options}
	return slices.Contains(own.Strings("modules_enabled"), module)
}

func scalar(v any) any {
	if list, ok := v.(List); ok && len(list) > 0 {
		return list[0]
	}
	return v
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return ""
}
