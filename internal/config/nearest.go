package config

import "strings"

// nearest finds the name that was probably meant: the one with the fewest edits, if they are few for its length.
func nearest(name string, known []string) (string, bool) {
	best, fewest := "", 1+max(1, len(name)/3)
	for _, k := range known {
		d := edits(strings.ToLower(name), strings.ToLower(k))
		if d < fewest {
			best, fewest = k, d
		}
	}
	return best, best != ""
}

// edits counts the letters to add, drop, change or swap with their neighbour (optimal string alignment).
func edits(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
