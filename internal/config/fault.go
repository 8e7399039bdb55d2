package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one mistake in the config.
type Fault struct {
	// Where is file and line (/etc/usher/usher.yaml:31), the file alone, or the environment variable.
	Where string
	// Path is the key: profiles.default.issuers[0].audiences. Empty where the file as a whole is meant.
	Path string
	// Text is one sentence: what is wrong and what to do. It holds no secret.
	Text string

	line int
}

func (f Fault) Error() string {
	if f.Where == "" {
		return f.Text
	}
	return f.Where + ": " + f.Text
}

// Faults is every mistake that was found, in the order of the file.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Warning is something that is accepted and should not stay so.
type Warning Fault

func (w Warning) String() string { return Fault(w).Error() }

// place is where a value was written.
type place struct {
	line     int
	variable string // set where the environment gave the value
}

// places knows where each key was written, by its path.
type places struct {
	file string
	at   map[string]place
}

// find gives the place of a path, or of the nearest section around it that was written.
func (p places) find(path string) (at place, exact bool) {
	exact = true
	for path != "" {
		if at, ok := p.at[path]; ok {
			return at, exact
		}
		exact = false
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return p.at[""], false
}

func (p places) label(at place, file string) string {
	switch {
	case at.variable != "":
		return at.variable
	case at.line == 0:
		return file
	default:
		return fmt.Sprintf("%s:%d", file, at.line)
	}
}

// report collects what is wrong and what is doubtful, with its place.
type report struct {
	places   places
	faults   Faults
	warnings []Warning
}

func (r *report) fault(path, format string, args ...any) {
	at, _ := r.places.find(path)
	r.faultAt(at, path, format, args...)
}

func (r *report) faultAt(at place, path, format string, args ...any) {
	r.faults = append(r.faults, r.told(at, path, format, args))
}

func (r *report) warn(path, format string, args ...any) {
	at, _ := r.places.find(path)
	r.warnings = append(r.warnings, Warning(r.told(at, path, format, args)))
}

func (r *report) told(at place, path, format string, args []any) Fault {
	return Fault{Where: r.places.label(at, r.places.file), Path: path, Text: fmt.Sprintf(format, args...), line: at.line}
}

// wrong says whether a section itself or one of its own keys is at fault. Rules about what is missing keep quiet
// there: the misspelt key has been named, and that another is missing would follow from it.
func (r *report) wrong(section string) bool {
	return slices.ContainsFunc(r.faults, func(f Fault) bool {
		rest, ok := below(f.Path, section)
		return ok && !strings.ContainsAny(rest, ".[")
	})
}

// wrongBelow says whether anything in a section is at fault, however deep.
func (r *report) wrongBelow(section string) bool {
	return slices.ContainsFunc(r.faults, func(f Fault) bool {
		_, ok := below(f.Path, section)
		return ok
	})
}

// below gives what is left of a path in a section.
func below(path, section string) (rest string, ok bool) {
	if section == "" || path == section {
		return strings.TrimPrefix(path, section), true
	}
	rest, ok = strings.CutPrefix(path, section)
	if !ok || rest[0] != '.' && rest[0] != '[' {
		return "", false
	}
	return rest[1:], true
}

func (r *report) sort() {
	slices.SortStableFunc(r.faults, func(a, b Fault) int { return cmp.Compare(a.line, b.line) })
	slices.SortStableFunc(r.warnings, func(a, b Warning) int { return cmp.Compare(a.line, b.line) })
}
