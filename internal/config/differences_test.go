package config_test

import (
	"strings"
	"testing"
)

func TestDifferences_NameEachKeyOutsideOfProfiles(t *testing.T) {
	before := parse(t, smallest)
	for text, want := range map[string]string{
		"": "",
		"hosts: [usher.internal]\nlog: {level: debug}\nlimits: {bad_tokens_per_address: 3}": "hosts limits.bad_tokens_per_address log.level",
		"listen: 127.0.0.1:9160\nlog: {level: info}\nhosts: []":                             "", // the defaults
	} {
		after := parse(t, text+smallest)
		if got := strings.Join(before.Differences(after), " "); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if got := strings.Join(after.Differences(before), " "); got != want {
			t.Errorf("%q, the other way: got %q, want %q", text, got, want)
		}
	}
	redis := parse(t, `redis: {url: "redis://127.0.0.1:6379/0"}`+smallest)
	for _, got := range [][]string{before.Differences(redis), redis.Differences(before)} {
		if all := strings.Join(got, " "); !strings.Contains(all, "redis.url") || !strings.Contains(all, "redis.prefix") {
			t.Errorf("a section more or less: got %q", all)
		}
	}
	if got := before.Differences(parse(t, strings.Replace(smallest, "my-app", "other-app", 1))); len(got) != 0 {
		t.Errorf("another profile: got %v", got)
	}
}
