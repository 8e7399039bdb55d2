//go:build !race

package verifier

var raceFlag []string
