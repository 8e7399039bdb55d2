package main

import (
	"io"
	"strings"
	"testing"
)

// Whoever types what init says must not have root serve, where a service is to.
func TestInit_SaysHowToStartTheService(t *testing.T) {
	for path, want := range map[string]string{
		"/etc/usher/usher.yaml": "  systemctl enable --now usher ",
		"usher.yaml":            "  usher serve\n",
		"etc/usher.yaml":        "  usher serve --config etc/usher.yaml\n",
	} {
		var said strings.Builder
		if err := (&initCmd{}).say(streams{out: io.Discard, err: &said}, path, "app.secret", "meet.example.com", false); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said.String(), want) {
			t.Errorf("%s: got\n%s", path, said.String())
		}
	}
}
