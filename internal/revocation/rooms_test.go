package revocation

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/usher-im/usher/internal/room"
)

// opened makes sure that revoking a room by its JID, by its tenant and by its bare name meets a token that opens it.
func opened(t *testing.T, claim, sub, jid string, verifyDomain bool) (opens bool) {
	t.Helper()
	a, problem := room.ParseAddress(jid)
	rules := room.Rules{VerifyDomain: verifyDomain, RequireClaim: true}
	if problem != nil || rules.Match(room.Claim{Rooms: []string{claim}, Present: true, Subject: sub}, a) != nil {
		return false
	}
	values := []string{jid}
	if a.Tenant != "" {
		values = append(values, "["+a.Tenant+"]")
	}
	m := MarksOf(Subject{Issuer: "app", Rooms: []string{claim}, Tenant: sub})
	for _, value := range values {
		r, err := Prepare(Revocation{Selector: SelectRoom, Value: value}, time.Now())
		if err != nil {
			t.Errorf("%q, which %q opens, cannot be revoked: %v", value, claim, err)
			continue
		}
		x := NewIndex(0)
		x.Put(r.Entry())
		if _, revoked := x.Check(&m, 1); !revoked {
			t.Errorf("revoking %q (%q) does not meet a token with sub %q and room %q, which opens %q", value, r.Value, sub, claim, jid)
		}
	}
	return true
}

func TestRoom_ATokenThatOpensItIsMetByItsJID(t *testing.T) {
	for _, c := range []struct {
		claim, sub, jid string
		verifyDomain    bool
	}{
		{"Standup", "meet.example.com", "standup@conference.meet.example.com", true},
		{"Standup", "Acme", "[acme]standup@conference.example.com", true},
		{"Caf%C3%A9 1", "acme", "[acme]caf%c3%a9%201@conference.example.com", true},
		{"standup", "Stra\u00dfe", "[strasse]standup@conference.example.com", true},
		{"[Acme]Standup", "other", "[acme]standup@conference.example.com", false},
		{"[Acme]Standup", "*", "[acme]standup@conference.example.com", false},
		{"[Stra\u00dfe]gamma room", "*", "[strasse]gamma%20room@conference.example.com", false},
		{"\uff3bacme\uff3d50%25", "*", "[acme]50%25@conference.example.com", false},
	} {
		if !opened(t, c.claim, c.sub, c.jid, c.verifyDomain) {
			t.Errorf("room %q and sub %q do not open %q", c.claim, c.sub, c.jid)
		}
	}
}

// A token for any tenant names none, and one that names the room alone opens it in every tenant where domains are not
// verified: docs/revocation.md says that the bare name meets both.
func FuzzRoom_ATokenThatOpensItIsMetByItsJID(f *testing.F) {
	f.Add("Standup", "Acme", "[acme]standup@conference.example.com", true)
	f.Add("[a]b%25", "c", "[a]b%25@c", false)
	f.Fuzz(func(t *testing.T, claim, sub, jid string, verifyDomain bool) {
		a, _ := room.ParseAddress(jid)
		if !utf8.ValidString(claim+sub+jid) || claim == "*" || a.Tenant != "" && (verifyDomain && sub == "*" || !verifyDomain && !strings.HasPrefix(room.Folded(claim), "[")) {
			return
		}
		opened(t, claim, sub, jid, verifyDomain)
	})
}
