package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// decoder fills the typed config from a document. What it cannot place becomes a fault, and it goes on, so that one
// run names every mistake.
type decoder struct {
	*report
	doc *document
}

func (d *decoder) section(n ast.Node, v reflect.Value, path string) {
	list, ok := d.doc.pairs(n)
	if !ok {
		d.misfit(path, "a section with keys below it", n)
		return
	}
	known := fields(v.Type())
	for _, p := range list {
		at := place{line: p.line}
		f, ok := find(known, p.key)
		if !ok {
			d.unknown(at, path, p.key, known)
			continue
		}
		here := join(path, f.name)
		d.places.at[here] = at
		d.value(f, p.value, v.Field(f.index), here)
	}
}

func find(list []field, name string) (field, bool) {
	for _, f := range list {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

func (d *decoder) value(f field, written ast.Node, v reflect.Value, path string) {
	n := d.doc.resolve(written)
	if n == nil {
		d.fault(path, "%s refers to an anchor (*name) that does not exist, leads in a circle or repeats too much; write the value out", path)
		return
	}
	switch f.kind {
	case isSection:
		d.maybeSection(f, n, v, path)
	case isNamed:
		d.named(f, n, v, path)
	case isEntries:
		d.entries(f, n, v, path)
	case isList:
		d.list(f, n, v, path)
	case isFlags:
		d.flags(f, n, v, path)
	default:
		s, ok := scalarOf(n)
		if !ok {
			d.misfit(path, "a single value"+like(f), n)
			return
		}
		if err := setScalar(f, v, s); err != nil {
			d.fault(path, "%s %s", path, err)
		}
	}
}

// maybeSection: a heading whose keys are all commented out is as good as left out, but where leaving out means
// something of its own (redis: embedded) an empty heading is a question that only the operator can answer.
func (d *decoder) maybeSection(f field, n ast.Node, v reflect.Value, path string) {
	empty := n.Type() == ast.NullType
	switch {
	case empty && f.optional():
		d.fault(path, "%s has no keys below it; add them, or remove the line", path)
	case empty:
	case f.optional():
		v.Set(reflect.New(f.typ.Elem()))
		setDefaults(v.Elem())
		d.section(n, v.Elem(), path)
	default:
		d.section(n, v, path)
	}
}

func (d *decoder) named(f field, n ast.Node, v reflect.Value, path string) {
	list, ok := d.doc.pairs(n)
	if !ok {
		d.misfit(path, "sections by name", n)
		return
	}
	v.Set(reflect.MakeMapWithSize(f.typ, len(list)))
	for _, p := range list {
		// Prosody gives host names in lower case, so the names that they are compared with are too.
		name := strings.ToLower(p.key)
		here := join(path, name)
		d.places.at[here] = place{line: p.line}
		if v.MapIndex(reflect.ValueOf(name)).IsValid() {
			d.fault(here, "%s is written twice, once with other capitals; keep one of them", here)
			continue
		}
		one := reflect.New(f.typ.Elem().Elem())
		setDefaults(one.Elem())
		v.SetMapIndex(reflect.ValueOf(name), one)
		value := d.doc.resolve(p.value)
		if value == nil || value.Type() == ast.NullType {
			d.fault(here, "%s has no keys below it; add its issuers, or remove the line", here)
			continue
		}
		d.section(value, one.Elem(), here)
	}
}

func (d *decoder) entries(f field, n ast.Node, v reflect.Value, path string) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		d.misfit(path, "a list whose entries begin with -", n)
		return
	}
	for i, item := range list.Values {
		here := fmt.Sprintf("%s[%d]", path, i)
		value := d.doc.resolve(item)
		d.places.at[here] = place{line: lineOf(value)}
		one := reflect.New(section(f.typ)).Elem()
		setDefaults(one)
		if value == nil {
			d.misfit(here, "a section with keys below it", value)
		} else {
			d.section(value, one, here)
		}
		if f.typ.Elem().Kind() == reflect.Pointer {
			one = one.Addr()
		}
		v.Set(reflect.Append(v, one))
	}
}

func (d *decoder) list(f field, n ast.Node, v reflect.Value, path string) {
	items, ok := n.(*ast.SequenceNode)
	if !ok {
		hint := like(f)
		if s, single := scalarOf(n); single && s.typed == "" && s.text != "" {
			text := s.text
			if strings.ContainsAny(text, "*&!#%@`[]{}|>") { // bare it would mean something else to YAML
				text = strconv.Quote(text)
			}
			hint = fmt.Sprintf(": write %s: [%s]", f.name, text)
		}
		d.misfit(path, "a list"+hint, n)
		return
	}
	out := make([]string, 0, len(items.Values))
	for i, item := range items.Values {
		here := fmt.Sprintf("%s[%d]", path, i)
		value := d.doc.resolve(item)
		d.places.at[here] = place{line: lineOf(value)}
		s, ok := scalarOf(value)
		switch {
		case !ok || s.typed == "null":
			d.misfit(here, "a text", value)
			continue
		case s.text == "":
			d.fault(here, "%s is empty; write a text, or remove it", here)
			continue
		}
		if f.enum != nil {
			if _, err := oneOf(f.enum, s.text); err != nil {
				d.fault(here, "%s %s", here, err)
				continue
			}
		}
		out = append(out, s.text)
	}
	v.Set(reflect.ValueOf(out))
}

func (d *decoder) flags(f field, n ast.Node, v reflect.Value, path string) {
	list, ok := d.doc.pairs(n)
	if !ok {
		d.misfit(path, "names with true or false"+like(f), n)
		return
	}
	out := make(map[string]bool, len(list))
	for _, p := range list {
		here := join(path, p.key)
		d.places.at[here] = place{line: p.line}
		b, ok := d.doc.resolve(p.value).(*ast.BoolNode)
		if !ok {
			d.fault(here, "%s must be true or false", here)
			continue
		}
		out[p.key] = b.Value
	}
	v.Set(reflect.ValueOf(out))
}

// misfit says that something of another shape was expected. It names the shape found, never its content.
func (d *decoder) misfit(path, expected string, found ast.Node) {
	d.fault(path, "%s must be %s; %s stands there", nameOf(path), expected, shapeOf(found))
}

func nameOf(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

func shapeOf(n ast.Node) string {
	switch v := n.(type) {
	case nil:
		return "an anchor that leads nowhere"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a section"
	case *ast.NullNode:
		return "nothing"
	case *ast.BoolNode:
		return fmt.Sprintf("%t", v.Value)
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	default:
		return "a text"
	}
}
