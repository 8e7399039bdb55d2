package token_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Upstream compares HMACs with ==, which tells a patient forger how many bytes are right. Time is no good witness in a
// test, so this reads the source: of jwx, which compares for us, and of this package, which must not.
func TestVerify_ComparesMACsInConstantTime(t *testing.T) {
	jws, err := build.Import("github.com/lestrrat-go/jwx/v2/jws", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	if calls := callsIn(t, filepath.Join(jws.Dir, "hmac.go"), "Verify"); !calls["hmac.Equal"] {
		t.Errorf("jwx's verification of HMACs no longer calls hmac.Equal, but %v", calls)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for call := range callsIn(t, file, "") {
			if call == "bytes.Equal" || call == "bytes.Compare" || call == "hmac.New" {
				t.Errorf("%s calls %s", file, call)
			}
		}
	}
}

// callsIn are the functions of other packages that a file's functions of a name call; of all of them where it is empty.
func callsIn(t *testing.T, file, name string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]bool{}
	for _, decl := range parsed.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || name != "" && f.Name.Name != name {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if called, ok := call.Fun.(*ast.SelectorExpr); ok {
					if from, ok := called.X.(*ast.Ident); ok {
						calls[from.Name+"."+called.Sel.Name] = true
					}
				}
			}
			return true
		})
	}
	return calls
}
