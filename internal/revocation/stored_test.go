package revocation

import (
	"fmt"
	"testing"
	"time"
)

// Later versions read what stores hold, and older ones run beside them: a revocation that one of them seeks under another
// key, or takes for another selector, lets in whom it means. Who must change one of these first gives each store another
// number (docs/architecture.md, "What outlives a version").
func TestKey_IsTheSameInEveryVersion(t *testing.T) {
	for want, r := range map[string]Revocation{
		"1 000102030405060708090a0b0c0d0e0f": {Selector: SelectToken, Value: "000102030405060708090a0b0c0d0e0f"},
		"2 ce6febd88ef6c617c45a5cce9bb6d89e": {Selector: SelectJTI, Issuer: "my-app", Value: "a1"},
		"3 ba072ef8a1527a9edc8ab2cb2b8873bf": {Selector: SelectUser, Issuer: "my-app", Value: "ada"},
		"4 3e36a8f9d7a6d079c760bd7cc6fcd7eb": {Selector: SelectKey, Issuer: "my-app", Value: "2026-a"},
		"5 8ba241a7db4f30218a22dd960be20c38": {Selector: SelectIssuer, Value: "my-app"},
		"6 d7402ac42708e5b6f4d3a3ce6bc14022": {Selector: SelectRoom, Value: "Daily Call@conference.example.com"},
		"6 e1a0571710093867b2ed1fd44ae0435a": {Selector: SelectRoom, Value: "[Straße]"},
		"6 bb3b4fb3249303b2c27b15081246cbde": {Selector: SelectRoom, Value: "[Acme]Daily"},
	} {
		made, err := Prepare(r, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(r.Selector.Code(), " ", made.ID); got != want {
			t.Errorf("the revocation of %s %q is %s, and was %s", r.Selector, r.Value, got, want)
		}
	}
	var c ciphers
	c.learn([16]byte{1, 2, 3})
	if got := c.names([]Key{{4, 5, 6}}); len(got) != 1 || got[0] != "TVST0xIRnhdI" {
		t.Errorf("the feed names a key %q, and did TVST0xIRnhdI", got)
	}
}
