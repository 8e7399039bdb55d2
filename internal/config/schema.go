package config

import (
	"reflect"
	"strings"
	"time"
)

// kind is what a key takes.
type kind int

const (
	isText kind = iota
	isSecret
	isBool
	isNumber
	isSize
	isSpan
	isTime
	isList    // of texts
	isFlags   // names to true or false
	isSection // a struct, or a pointer to one that may be left out
	isNamed   // sections by name
	isEntries // a list of sections
)

// field is one key, as its tag describes it.
type field struct {
	name    string
	index   int
	kind    kind
	typ     reflect.Type
	def     string   // default, as it would be written; "" where there is none
	enum    []string // allowed words
	example string   // as it would be written
	file    string   // read, secret, new or dir: the value is a path
}

// optional says that a section's being left out means something.
func (f field) optional() bool { return f.kind == isSection && f.typ.Kind() == reflect.Pointer }

// fields lists a section's keys in the order of its type.
func fields(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name := sf.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		f := field{
			name: name, index: i, kind: kindOf(sf.Type), typ: sf.Type,
			def: sf.Tag.Get("default"), example: sf.Tag.Get("example"), file: sf.Tag.Get("file"),
		}
		if words := sf.Tag.Get("enum"); words != "" {
			f.enum = strings.Split(words, "|")
		}
		list = append(list, f)
	}
	return list
}

func kindOf(t reflect.Type) kind {
	switch t {
	case reflect.TypeFor[Secret]():
		return isSecret
	case reflect.TypeFor[Size]():
		return isSize
	case reflect.TypeFor[time.Duration]():
		return isSpan
	case reflect.TypeFor[time.Time]():
		return isTime
	case reflect.TypeFor[[]string]():
		return isList
	case reflect.TypeFor[map[string]bool]():
		return isFlags
	}
	switch t.Kind() {
	case reflect.Bool:
		return isBool
	case reflect.Int:
		return isNumber
	case reflect.Map:
		return isNamed
	case reflect.Slice:
		return isEntries
	case reflect.Struct, reflect.Pointer:
		return isSection
	default:
		return isText
	}
}

// section gives the struct type behind a section, a list of them or a map of them.
func section(t reflect.Type) reflect.Type {
	for t.Kind() != reflect.Struct {
		t = t.Elem()
	}
	return t
}

func names(list []field) []string {
	out := make([]string, len(list))
	for i, f := range list {
		out[i] = f.name
	}
	return out
}

// homes lists the sections of the whole config that have a key of this name, as paths with * and [] for any.
func homes(name string) []string {
	var found []string
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		for _, f := range fields(t) {
			if f.name == name {
				found = append(found, join(path, f.name))
			}
			switch f.kind {
			case isSection:
				walk(section(f.typ), join(path, f.name))
			case isNamed:
				walk(section(f.typ), join(path, f.name)+".*")
			case isEntries:
				walk(section(f.typ), join(path, f.name)+"[]")
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	return found
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// setDefaults fills a section with what its tags say. Sections that may be left out stay so.
func setDefaults(v reflect.Value) {
	for _, f := range fields(v.Type()) {
		switch {
		case f.kind == isSection && !f.optional():
			setDefaults(v.Field(f.index))
		case f.def != "" && f.kind == isList:
			v.Field(f.index).Set(reflect.ValueOf(listOf(f.def)))
		case f.def != "":
			// A default that its own key would refuse is a mistake in this package, and its test finds it.
			_ = setScalar(f, v.Field(f.index), scalar{text: f.def})
		}
	}
}

// listOf reads a list in flow style, [a, b], or the same without brackets, as environment variables have it.
func listOf(text string) []string {
	list := []string{}
	for _, item := range strings.Split(strings.Trim(text, "[]"), ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}
