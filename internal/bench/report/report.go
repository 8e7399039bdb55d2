// Package report keeps what was measured: the figures of each round, their median, and the target where there is one.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Row is one figure.
type Row struct {
	Part string `json:"part"`
	What string `json:"what"`
	// Unit is × where the figure is a ratio.
	Unit   string    `json:"unit"`
	Rounds []float64 `json:"rounds"`
	Median float64   `json:"median"`
	Least  float64   `json:"least"`
	Most   float64   `json:"most"`
	Target *Target   `json:"target,omitempty"`
	Met    *bool     `json:"met,omitempty"`
	// Beside is what stands behind a ratio: the medians that it is of.
	Beside string `json:"beside,omitempty"`
}

// Target is what a row must show.
type Target struct {
	At float64 `json:"at"`
	// Least: the figure must be At or more; otherwise At or less.
	Least bool `json:"least,omitempty"`
}

// Most is the target of a figure that may be so large.
func Most(at float64) *Target { return &Target{At: at} }

// Least is the target of a figure that must be so large.
func Least(at float64) *Target { return &Target{At: at, Least: true} }

func (t *Target) met(v float64) bool {
	if t.Least {
		return v >= t.At
	}
	return v <= t.At
}

// Report is one run of the benchmarks.
type Report struct {
	Machine Machine   `json:"machine"`
	Started time.Time `json:"started"`
	Took    string    `json:"took"`
	Quick   bool      `json:"quick,omitempty"`
	Rows    []Row     `json:"rows"`
}

// Add takes a figure's rounds in. A figure that no round could give is left out.
func (r *Report) Add(row Row) {
	if len(row.Rounds) == 0 {
		return
	}
	sorted := slices.Sorted(slices.Values(row.Rounds))
	row.Least, row.Most, row.Median = sorted[0], sorted[len(sorted)-1], Median(row.Rounds)
	if row.Target != nil {
		met := row.Target.met(row.Median)
		row.Met = &met
	}
	r.Rows = append(r.Rows, row)
}

// Median is the middle of some figures, or between the two in the middle.
func Median(figures []float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(figures))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// Ratios divides round by round, so that what slows a whole round down counts on both sides.
func Ratios(figures, floors []float64) []float64 {
	out := make([]float64, 0, len(figures))
	for n := range min(len(figures), len(floors)) {
		if floors[n] > 0 {
			out = append(out, figures[n]/floors[n])
		}
	}
	return out
}

// Write puts the report as JSON into a folder.
func (r *Report) Write(dir string) (string, error) {
	file := filepath.Join(dir, "bench.json")
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return "", fmt.Errorf("write the report: %w", err)
	}
	return file, nil
}
