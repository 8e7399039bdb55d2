package client

import (
	"encoding/xml"
	"strings"
)

// Element is a piece of XML as received: a stanza, or a part of one.
type Element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []*Element `xml:",any"`
	Text     string     `xml:",chardata"`
}

// Name is the local name.
func (e *Element) Name() string { return e.XMLName.Local }

// Attr is the value of an attribute, "" where it is absent.
func (e *Element) Attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// All returns the elements at a path below e, such as "x/status" or "query/{http://jabber.org/…}item": local
// names, each with a namespace in braces where it matters, and * for any.
func (e *Element) All(path string) []*Element {
	step, rest := cutPath(path)
	var found []*Element
	for _, child := range e.Children {
		if !child.is(step) {
			continue
		}
		if rest == "" {
			found = append(found, child)
			continue
		}
		found = append(found, child.All(rest)...)
	}
	return found
}

// Find returns the first element at a path below e, or nil.
func (e *Element) Find(path string) *Element {
	if all := e.All(path); len(all) > 0 {
		return all[0]
	}
	return nil
}

// Has says whether there is an element at a path below e.
func (e *Element) Has(path string) bool { return e.Find(path) != nil }

// TextAt is the text of the element at a path, "" where there is none.
func (e *Element) TextAt(path string) string {
	if found := e.Find(path); found != nil {
		return found.Text
	}
	return ""
}

// HasStatus says whether a MUC presence carries a status code (XEP-0045).
func (e *Element) HasStatus(code string) bool {
	for _, s := range e.All("x/status") {
		if s.Attr("code") == code {
			return true
		}
	}
	return false
}

// String is for messages: close to what was on the wire, without prefixes.
func (e *Element) String() string {
	if e == nil {
		return "(nothing)"
	}
	var b strings.Builder
	e.write(&b, "")
	return b.String()
}

func (e *Element) is(step string) bool {
	if ns, local, ok := strings.Cut(strings.TrimPrefix(step, "{"), "}"); ok {
		return e.XMLName.Space == ns && (local == "*" || e.XMLName.Local == local)
	}
	return step == "*" || e.XMLName.Local == step
}

func (e *Element) write(b *strings.Builder, outer string) {
	b.WriteString("<" + e.XMLName.Local)
	if e.XMLName.Space != outer {
		b.WriteString(" xmlns='" + Escape(e.XMLName.Space) + "'")
	}
	for _, a := range e.Attrs {
		if a.Name.Local != "xmlns" && a.Name.Space != "xmlns" {
			b.WriteString(" " + a.Name.Local + "='" + Escape(a.Value) + "'")
		}
	}
	if len(e.Children) == 0 && e.Text == "" {
		b.WriteString("/>")
		return
	}
	b.WriteString(">" + Escape(e.Text))
	for _, child := range e.Children {
		child.write(b, e.XMLName.Space)
	}
	b.WriteString("</" + e.XMLName.Local + ">")
}

// Escape makes text safe inside XML text and attributes.
func Escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder does not fail
	return b.String()
}

// cutPath splits the first step off; a namespace in braces may hold slashes.
func cutPath(path string) (step, rest string) {
	start := 0
	if strings.HasPrefix(path, "{") {
		start = strings.Index(path, "}") + 1
	}
	i := strings.Index(path[start:], "/")
	if i < 0 {
		return path, ""
	}
	return path[:start+i], path[start+i+1:]
}
