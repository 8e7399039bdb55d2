//go:build race

package keys

// raceDetector: its shadow memory would be judged instead of ours.
const raceDetector = true
