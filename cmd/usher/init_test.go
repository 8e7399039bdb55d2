package main

import (
	"cmp"
	"io"
	"strings"
	"testing"
)

// Whoever types what init says must not have root serve, where a service is to.
func TestInit_SaysHowToStartTheService(t *testing.T) {
	for line, want := range map[string]string{
		"init --config /etc/usher/usher.yaml": "  systemctl enable --now usher ",
		"init":                                "  usher serve\n",
		"init --config /srv/usher.yaml":       "  usher serve --config /srv/usher.yaml\n",
	} {
		var c commands
		if _, err := parse(&c, streams{}, strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		if err := c.Init.say(streams{out: io.Discard, err: &said}, c.reach, cmp.Or(c.Config, "usher.yaml"), "app.secret", "meet.example.com", false); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said.String(), want) {
			t.Errorf("usher %s: got\n%s", line, said.String())
		}
	}
}
