package config

import (
	"fmt"
	"io"
)

// Secret is a value that is never shown: every way of printing or marshalling it gives a placeholder.
// string(s) and []byte(s) give the value, where it is used.
type Secret string

const redacted = "[redacted]"

// String gives a placeholder.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format gives a placeholder for every verb: %x and %q would print the bytes of a string type without asking String.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText gives a placeholder, for JSON, YAML and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Under a verb that does not fit (%s of a section), fmt prints what pointers point at without asking Format, secrets
// too. So the sections that lead to secrets by a pointer say who they are, and no more.

// Format names the config's file.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "config "+c.Path) }

// Format names the server, which is without its password.
func (r Redis) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "redis "+r.URL) }

// Format names the profile.
func (p Profile) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "profile "+p.Name) }
