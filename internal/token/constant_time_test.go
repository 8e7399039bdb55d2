package token_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Upstream compares HMACs with ==, which tells a patient forger how many bytes are right. Time is no good witness in a
// test, so this reads the source: mac compares with hmac.Equal and in no other way, and nothing else here makes HMACs or
// compares bytes.
func TestVerify_ComparesMACsInConstantTime(t *testing.T) {
	if calls := callsIn(t, "mac.go", "verify"); !calls["hmac.Equal"] || calls["=="] || calls["!="] {
		t.Errorf("the verification of HMACs does not compare by hmac.Equal alone: %v", calls)
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
			if call == "bytes.Equal" || call == "bytes.Compare" || call == "hmac.New" && file != "mac.go" {
				t.Errorf("%s calls %s", file, call)
			}
		}
	}
}

// callsIn are the functions of other packages that a file's functions of a name call, and the operators that they use; of all of them where it is empty.
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
			if compared, ok := n.(*ast.BinaryExpr); ok {
				calls[compared.Op.String()] = true
			}
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
