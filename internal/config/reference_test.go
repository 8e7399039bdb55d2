package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const page = "../../docs/configuration.md"

// What documents the config is made from its types. These tests make it, and fail where what is checked in differs;
// go generate writes it anew.

func TestReference_ExampleIsMadeFromTheTypes(t *testing.T) {
	upToDate(t, "example.yaml", writeExample(t))
}

func TestReference_PageIsMadeFromTheTypes(t *testing.T) {
	upToDate(t, page, writePage(t))
}

func TestReference_PageNamesEveryVariableOfJitsi(t *testing.T) {
	text := read(t, page)
	for _, name := range append([]string{"XMPP_DOMAIN", "XMPP_MUC_DOMAIN", allowShortSecret}, jitsiVariables...) {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s is not on the page", name)
		}
	}
}

func TestReference_EveryKeyIsDocumented(t *testing.T) {
	docs := comments(t)
	eachSection(reflect.TypeFor[Config](), "", func(st reflect.Type, path string) {
		for _, f := range fields(st) {
			if docs.of(st, f) == "" {
				t.Errorf("%s has no comment, so nobody learns what it does", join(path, f.name))
			}
			if f.kind < isSection && f.def == "" && f.example == "" && f.kind != isSecret && f.typ.Kind() != reflect.String {
				t.Errorf("%s has neither a default nor an example", join(path, f.name))
			}
		}
	})
}

func upToDate(t *testing.T, name, text string) {
	t.Helper()
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, name) != text {
		t.Errorf("%s is not what the types say; run `go generate ./internal/config`", name)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

// documentation is the comments of the types' fields.
type documentation map[string]string

func (d documentation) of(section reflect.Type, f field) string {
	return d[section.Name()+"."+section.Field(f.index).Name]
}

func comments(t *testing.T) documentation {
	t.Helper()
	docs := documentation{}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if st, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					for _, id := range f.Names {
						docs[spec.Name.Name+"."+id.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return false
		})
	}
	return docs
}

func eachSection(t reflect.Type, path string, seen func(t reflect.Type, path string)) {
	seen(t, path)
	for _, f := range fields(t) {
		switch f.kind {
		case isSection:
			eachSection(section(f.typ), join(path, f.name), seen)
		case isNamed:
			eachSection(section(f.typ), join(path, f.name)+".NAME", seen)
		case isEntries:
			eachSection(section(f.typ), join(path, f.name)+"[]", seen)
		}
	}
}

func writePage(t *testing.T) string {
	docs := comments(t)
	var b strings.Builder
	b.WriteString(read(t, "reference/head.md"))
	eachSection(reflect.TypeFor[Config](), "", func(st reflect.Type, path string) {
		inProfile := strings.HasPrefix(path, "profiles")
		title := "Top level"
		if path != "" {
			title = "`" + path + "`"
		}
		fmt.Fprintf(&b, "\n### %s\n\n", title)
		if inProfile {
			b.WriteString("| key | takes | left out | |\n|---|---|---|---|\n")
		} else {
			b.WriteString("| key | takes | left out | environment | |\n|---|---|---|---|---|\n")
		}
		for _, f := range fields(st) {
			fmt.Fprintf(&b, "| `%s` | %s | %s | ", f.name, takes(f), leftOut(f))
			if !inProfile {
				fmt.Fprintf(&b, "%s | ", variableOf(f, join(path, f.name)))
			}
			fmt.Fprintf(&b, "%s |\n", strings.ReplaceAll(docs.of(st, f), "|", `\|`))
		}
	})
	b.WriteString(read(t, "reference/tail.md"))
	return b.String()
}

func variableOf(f field, path string) string {
	if f.kind >= isFlags {
		return ""
	}
	return "`" + Variable(path) + "`"
}

func takes(f field) string {
	if len(f.enum) > 0 {
		words := "`" + strings.Join(f.enum, "` · `") + "`"
		if f.kind == isList {
			return "a list of " + words
		}
		return words
	}
	word := map[kind]string{
		isText: "text", isSecret: "secret", isBool: "`true` · `false`", isNumber: "number", isSize: "size", isSpan: "span", isTime: "time",
		isList: "list", isFlags: "names with `true` or `false`", isSection: "section", isNamed: "sections by name", isEntries: "list of sections",
	}[f.kind]
	if f.kind == isText && f.file != "" {
		word = map[string]string{"dir": "folder"}[f.file]
		if word == "" {
			word = "file"
		}
	}
	if f.example != "" {
		word += ", like `" + f.example + "`"
	}
	return word
}

func leftOut(f field) string {
	switch {
	case f.def != "":
		return "`" + f.def + "`"
	case f.kind == isSection && !f.optional():
		return "as below"
	default:
		return "–"
	}
}

// Values that make the example run as it is, or show what most will write.
var exampleValues = map[string]string{
	"data_dir":                               "./usher-data",
	"profiles.default.domain":                "meet.example.com",
	"profiles.default.issuers.iss":           "my-app",
	"profiles.default.issuers.audiences":     "[jitsi]",
	"profiles.default.issuers.keys.- secret": secretMark,
}

func writeExample(t *testing.T) string {
	b := &exampleWriter{docs: comments(t), test: t}
	b.WriteString(read(t, "reference/head.yaml"))
	b.section(reflect.TypeFor[Config](), "", "")
	return b.String()
}

type exampleWriter struct {
	strings.Builder
	docs documentation
	test *testing.T
}

func (b *exampleWriter) section(t reflect.Type, path, indent string) {
	for _, f := range fields(t) {
		here := join(path, f.name)
		if path == "" {
			b.WriteString("\n")
		}
		b.doc(t, f, indent)
		switch f.kind {
		case isSection:
			b.heading(f, here, indent)
		case isNamed:
			b.WriteString(indent + f.name + ":\n" + indent + "  default:\n")
			b.section(section(f.typ), here+".default", indent+"    ")
		case isEntries:
			b.WriteString(indent + f.name + ":\n")
			b.entry(section(f.typ), here, indent+"  ")
		default:
			b.key(f, here, indent)
		}
	}
}

// heading: a section that means something by being left out is commented out as a whole.
func (b *exampleWriter) heading(f field, path, indent string) {
	if !f.optional() {
		b.WriteString(indent + f.name + ":\n")
		b.section(section(f.typ), path, indent+"  ")
		return
	}
	inner := &exampleWriter{docs: b.docs, test: b.test}
	inner.section(section(f.typ), path, "  ")
	for _, line := range append([]string{f.name + ":"}, strings.Split(strings.TrimSuffix(inner.String(), "\n"), "\n")...) {
		b.WriteString(indent + "#" + line + "\n")
	}
}

// entry writes a list with one section in it.
func (b *exampleWriter) entry(t reflect.Type, path, indent string) {
	if t == reflect.TypeFor[KeySource]() {
		b.keys(t, path, indent)
		return
	}
	inner := &exampleWriter{docs: b.docs, test: b.test}
	inner.section(t, path, indent+"  ")
	// The dash takes the place of two spaces before the first key.
	first := regexp.MustCompile(`(?m)^` + indent + `  ([a-z])`).FindStringIndex(inner.String())
	text := inner.String()
	b.WriteString(text[:first[0]] + indent + "- " + text[first[1]-1:])
}

// keys shows each source as an entry of its own: an entry is one source.
func (b *exampleWriter) keys(t reflect.Type, path, indent string) {
	order := []string{
		"- secret", "  kid", "  not_after", "- secret_file", "- secret_env", "- pem", "- jwks", "- jwks_url", "  max_stale", "- asap_url", "- certs_url",
	}
	if len(order) != len(fields(t)) {
		b.test.Errorf("the example shows %d keys of a key source, and it has %d", len(order), len(fields(t)))
	}
	for _, name := range order {
		f, ok := find(fields(t), name[2:])
		if !ok {
			b.test.Fatalf("a key source has no key %s", name)
		}
		b.doc(t, f, indent)
		f.name = name
		if f.def != "" && name == "  max_stale" {
			f.example, f.def = f.def, ""
		}
		b.key(f, join(path, name), indent)
	}
}

func (b *exampleWriter) key(f field, path, indent string) {
	value, active := exampleValues[path]
	switch {
	case active:
	case f.def != "":
		value, active = f.def, true
	case f.kind == isSecret && f.example == "":
		value = "…"
	default:
		value = f.example
	}
	mark := ""
	if !active {
		mark = "#"
	}
	b.WriteString(indent + mark + f.name + ": " + written(f, value))
	if len(f.enum) > 0 && f.kind != isList {
		b.WriteString(" # " + strings.Join(f.enum, " | "))
	}
	b.WriteString("\n")
}

// written puts quotes where YAML would read something else.
func written(f field, value string) string {
	plain := regexp.MustCompile(`^[A-Za-z0-9/.][A-Za-z0-9_/:.@+-]*[A-Za-z0-9/]$|^[0-9A-Za-z]$`)
	if f.kind == isList || f.kind == isFlags || plain.MatchString(value) && value != Off {
		return value
	}
	return `"` + value + `"`
}

func (b *exampleWriter) doc(t reflect.Type, f field, indent string) {
	line := indent + "#"
	for _, word := range strings.Fields(b.docs.of(t, f)) {
		if len(line)+1+len(word) > 116 {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

func TestExample_RunsAsItIs(t *testing.T) {
	t.Chdir(t.TempDir())
	text := Example()
	cfg, warnings, err := Parse("usher.yaml", []byte(text), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(warnings) != 1 || warnings[0].Path != "profiles.default.issuers[0].keys[0].secret" {
		t.Errorf("warnings: %v; one was to be expected, of the inline secret", warnings)
	}
	if secret := cfg.Profiles["default"].Issuers[0].Keys[0].Secret; len(secret) < 32 {
		t.Errorf("its secret has %d bytes, and 32 are the least", len(secret))
	}
	if Example() == text {
		t.Error("two examples have the same secret")
	}
}

// What the example shows as a default is the default: whoever deletes a line changes nothing.
func TestExample_ShowsTheDefaults(t *testing.T) {
	cfg, _, err := Parse("usher.yaml", []byte(Example()), nil)
	if err != nil {
		t.Fatal(err)
	}
	differs := []string{}
	compare := func(v reflect.Value) {
		bare := reflect.New(v.Type()).Elem()
		setDefaults(bare)
		for _, f := range fields(v.Type()) {
			if f.kind < isSection && !reflect.DeepEqual(v.Field(f.index).Interface(), bare.Field(f.index).Interface()) {
				differs = append(differs, f.name)
			}
		}
	}
	for _, v := range []any{cfg, &cfg.Admin, &cfg.Log, &cfg.Limits, &cfg.Audit, cfg.Profiles["default"], &cfg.Profiles["default"].Rooms,
		&cfg.Profiles["default"].Revocation, cfg.Profiles["default"].Issuers[0], &cfg.Profiles["default"].Issuers[0].Time,
		&cfg.Profiles["default"].Issuers[0].Replay} {
		compare(reflect.ValueOf(v).Elem())
	}
	if want := []string{"data_dir", "domain", "iss", "audiences"}; !slices.Equal(differs, want) {
		t.Errorf("%v differ from their defaults, and %v were to", differs, want)
	}
}
