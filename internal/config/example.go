package config

import (
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"strings"
)

//go:generate go test . -run ^TestReference -update

// example is made from the types by the test that keeps it up to date.
//
//go:embed example.yaml
var example string

// secretMark stands in the example where each printing puts a secret of its own.
const secretMark = "SECRET"

// Example is a commented config with every key that there is. It runs as it is: its secret is made anew each time, so
// that no two installations share one, and its data is kept beside it.
func Example() string {
	return strings.Replace(example, secretMark, NewSecret(), 1)
}

// NewSecret makes a shared secret: 256 random bits as text.
func NewSecret() string {
	bits := make([]byte, 32)
	_, _ = rand.Read(bits) // never fails: crypto/rand ends the process rather than give less
	return base64.RawURLEncoding.EncodeToString(bits)
}
