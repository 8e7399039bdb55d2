package docs_test

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

func TestArchitecture_NamesTheRoomsThatThereAre(t *testing.T) {
	page, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	there, err := os.ReadDir("../internal")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range regexp.MustCompile(`(?m)^  (\w+)/ `).FindAllStringSubmatch(string(page), -1) {
		named = append(named, m[1])
	}
	for _, folder := range there {
		if !slices.Contains(named, folder.Name()) {
			t.Errorf("internal/%s is not among the rooms", folder.Name())
		}
	}
	for _, name := range named {
		if info, err := os.Stat("../internal/" + name); err != nil || !info.IsDir() {
			t.Errorf("there is no internal/%s", name)
		}
	}
}
