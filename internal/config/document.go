package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxNodes bounds what aliases may add to a document. A real config has some hundred nodes.
const maxNodes = 20_000

// document is a parsed YAML file with its anchors.
type document struct {
	root    ast.Node // nil where the file says nothing
	anchors map[string]ast.Node
	left    int // how many nodes may yet be visited
}

// mistake is a fault of the YAML itself.
type mistake struct {
	line int
	text string
}

func parseDocument(data []byte) (doc *document, bad *mistake) {
	// The parser is not ours and has met fewer files than a fuzzer has.
	defer func() {
		if recover() != nil {
			doc, bad = nil, &mistake{text: "this cannot be read as YAML; compare it with `usher config example`"}
		}
	}()
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // some editors on Windows begin every file with it
	if line := nestedTooDeep(data); line > 0 {
		return nil, &mistake{line: line, text: "brackets or lists are nested too deeply for a config; close the brackets that were left open, and begin each entry of a list on a line of its own"}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, syntaxMistake(err)
	}
	doc = &document{anchors: map[string]ast.Node{}, left: maxNodes}
	for _, d := range file.Docs {
		if d.Body == nil || d.Body.Type() == ast.CommentType || d.Body.Type() == ast.DirectiveType {
			continue
		}
		if doc.root != nil {
			return nil, &mistake{line: lineOf(d.Body), text: "a second YAML document begins here; a config is one, so remove the line ---"}
		}
		doc.root = d.Body
	}
	if doc.root != nil {
		doc.collect(doc.root)
	}
	return doc, nil
}

// nestedTooDeep gives the line where brackets are more than 64 deep, or where more lists than that begin ("- - - "): the
// parser recurses into each, and takes minutes for the lists of one line.
func nestedTooDeep(data []byte) int {
	depth, line := 0, 0
	for text := range bytes.Lines(data) {
		line++
		lists := 0
		if isComment(text) {
			continue
		}
		for i, c := range text {
			switch c {
			case '\r':
				lists = 0
			case ' ':
				if i > 0 && text[i-1] == '-' {
					lists++
				}
				if lists > 64 {
					return line
				}
			case '[', '{':
				if depth++; depth > 64 {
					return line
				}
			case ']', '}':
				depth = max(depth-1, 0)
			}
		}
	}
	return 0
}

// isComment knows a line that is nothing else. One with a quote may be of a text that goes on from the line before, and ends
// in it.
func isComment(line []byte) bool {
	line = bytes.Trim(line, " \t\r\n")
	return len(line) > 0 && line[0] == '#' && !bytes.ContainsAny(line, "\"'\r")
}

// syntaxMistake keeps the parser's position and the part of its message that quotes nothing of the file: the quoted
// text may be a secret.
func syntaxMistake(err error) *mistake {
	var syntax yaml.Error
	if !errors.As(err, &syntax) {
		return &mistake{text: "this cannot be read as YAML; compare it with `usher config example`"}
	}
	line := 0
	if t := syntax.GetToken(); t != nil && t.Position != nil {
		line = t.Position.Line
	}
	var key string
	var first, column int
	if n, _ := fmt.Sscanf(syntax.GetMessage(), "mapping key %q already defined at [%d:%d]", &key, &first, &column); n == 3 {
		return &mistake{line: line, text: fmt.Sprintf("%q is written twice, first on line %d; keep one of them", key, first)}
	}
	message, _, _ := strings.Cut(syntax.GetMessage(), ":")
	message, _, _ = strings.Cut(message, `"`)
	return &mistake{line: line, text: fmt.Sprintf("this is not YAML (%s); look at the indentation, brackets and quotes here and on the line before", strings.TrimSpace(message))}
}

// collect notes the anchors, and that each node that is written may be visited: there are deployments with a profile for
// each of a thousand customers.
func (d *document) collect(n ast.Node) {
	d.left += 2 // a pair's key and its value
	switch v := n.(type) {
	case *ast.AnchorNode:
		d.anchors[v.Name.GetToken().Value] = v.Value
		d.collect(v.Value)
	case *ast.TagNode:
		d.collect(v.Value)
	case *ast.MappingNode:
		for _, pair := range v.Values {
			d.collect(pair)
		}
	case *ast.MappingValueNode:
		d.collect(v.Value)
	case *ast.SequenceNode:
		for _, item := range v.Values {
			d.collect(item)
		}
	}
}

// resolve takes anchors, aliases and tags off a node. Nil: an alias leads nowhere or in a circle.
func (d *document) resolve(n ast.Node) ast.Node {
	for range 16 {
		if d.left--; d.left < 0 {
			return nil
		}
		switch v := n.(type) {
		case *ast.AnchorNode:
			n = v.Value
		case *ast.TagNode:
			n = v.Value
		case *ast.AliasNode:
			target, ok := d.anchors[v.Value.GetToken().Value]
			if !ok {
				return nil
			}
			n = target
		default:
			return n
		}
	}
	return nil
}

// pair is a key and its value, with the line that it was written on.
type pair struct {
	key   string
	line  int
	value ast.Node
}

// pairs lists a mapping's pairs, those that a merge key (<<) brings in last and only where they are not overridden.
func (d *document) pairs(n ast.Node) (list []pair, ok bool) {
	var values []*ast.MappingValueNode
	switch v := n.(type) {
	case *ast.MappingNode:
		values = v.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{v}
	default:
		return nil, false
	}
	var merged []ast.Node
	for _, v := range values {
		if v.Key.Type() == ast.MergeKeyType {
			merged = append(merged, v.Value)
			continue
		}
		list = append(list, pair{key: textOf(d.resolve(v.Key)), line: lineOf(v.Key), value: v.Value})
	}
	for _, m := range merged {
		if list, ok = d.merge(list, m); !ok {
			return nil, false
		}
	}
	return list, true
}

func (d *document) merge(list []pair, from ast.Node) ([]pair, bool) {
	n := d.resolve(from)
	if s, ok := n.(*ast.SequenceNode); ok {
		for _, item := range s.Values {
			if list, ok = d.merge(list, item); !ok {
				return nil, false
			}
		}
		return list, true
	}
	more, ok := d.pairs(n)
	if !ok {
		return nil, false
	}
	has := make(map[string]bool, len(list))
	for _, p := range list {
		has[p.key] = true
	}
	for _, p := range more {
		if !has[p.key] {
			list = append(list, p)
		}
	}
	return list, true
}

func lineOf(n ast.Node) int {
	if n == nil {
		return 0
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		n = m.Values[0].Key // a block mapping's own token is its first colon
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// textOf gives a scalar as it was written; "" for anything else.
func textOf(n ast.Node) string {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value
	case *ast.LiteralNode:
		return v.Value.Value
	case nil:
		return ""
	}
	if _, ok := n.(ast.ScalarNode); ok && n.GetToken() != nil {
		return n.GetToken().Value
	}
	return ""
}

func scalarOf(n ast.Node) (scalar, bool) {
	s := scalar{text: textOf(n)}
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		s.typed = "number"
	case *ast.BoolNode:
		s.typed = "boolean"
	case *ast.NullNode:
		s.typed = "null"
	default:
		return scalar{}, false
	}
	return s, true
}
