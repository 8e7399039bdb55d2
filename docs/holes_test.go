package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestHoles_EachIsShownClosedByTestsThatExist(t *testing.T) {
	exists := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(allText(t, "..", "_test.go"), -1) {
		exists[match[1]] = true
	}
	content, err := os.ReadFile("holes.md")
	if err != nil {
		t.Fatal(err)
	}
	if sections := strings.Count(string(content), "\n## "); sections != 4 {
		t.Errorf("%d sections were read", sections)
	}
	table := rows(t, "holes.md")
	if len(table) < 40 {
		t.Errorf("only %d holes were read", len(table))
	}
	for _, row := range table {
		if len(row) != 2 || len(spans(row[1])) == 0 {
			t.Errorf("%q is shown closed by nothing", row[0])
			continue
		}
		for _, name := range spans(row[1]) {
			if vectors, ok := strings.CutPrefix(name, "testdata/hostile/"); ok {
				found, err := filepath.Glob("../internal/token/testdata/hostile/" + vectors + ".json")
				if err != nil || len(found) == 0 {
					t.Errorf("%q: there is no token %s", row[0], name)
				}
				continue
			}
			if !exists[name] {
				t.Errorf("%q: there is no test %s", row[0], name)
			}
		}
	}
}
