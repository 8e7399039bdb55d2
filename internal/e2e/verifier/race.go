//go:build race

package verifier

// A test run under the race detector puts the verifier under it too; it fails the test by its exit code 66.
var raceFlag = []string{"-race"}
