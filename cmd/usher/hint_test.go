package main

import (
	"strings"
	"testing"
)

// Whoever types what a command says asks the same node, by the same config.
func TestHint_TakesAlongWhereToAsk(t *testing.T) {
	t.Setenv("USHER_SERVER", "http://127.0.0.1:1") // is there for the next command, too
	const both = "keys list --config /a.yaml --server http://127.0.0.1:2"
	for _, one := range []struct{ line, words, want string }{
		{"doctor", "start it: `usher serve`, or look", "start it: `usher serve`, or look"},
		{"--config /a.yaml doctor", "start it: `usher serve`, or look", "start it: `usher serve --config /a.yaml`, or look"},
		{"--config /a.yaml doctor --config /b.yaml", "`usher serve`", "`usher serve --config /b.yaml`"},
		{"doctor --config=/it's", "`usher serve`", "`usher serve --config '/it'\\''s'`"},
		{both, "`usher revoke lift` takes it back", "`usher revoke lift --config /a.yaml --server http://127.0.0.1:2` takes it back"},
		{both, "`usher audit --user U`, `usher serve`", "`usher audit --config /a.yaml --server http://127.0.0.1:2 --user U`, `usher serve --config /a.yaml`"},
		{both, "`sudo -u 'usher' usher serve`", "`sudo -u 'usher' usher serve --config /a.yaml`"},
		{"audit show ID --offline", "`usher revoke show 1`", "`usher revoke show --offline 1`"},
		{"audit show ID --offline", "`usher audit erase`", "`usher audit erase`"}, // which a node alone does
		{both, "`usher keys list --config OLD --server URL`", "`usher keys list --config OLD --server URL`"},
		{both, "`usher config example`, `usher --help`, `openssl pkey` and what is usher's", "`usher config example`, `usher --help`, `openssl pkey` and what is usher's"},
	} {
		var c commands
		if _, err := parse(&c, streams{}, strings.Fields(one.line)); err != nil {
			t.Fatal(one.line, err)
		}
		if got := c.reach.hint(one.words); got != one.want {
			t.Errorf("usher %s: %q becomes %q", one.line, one.words, got)
		}
	}
}
