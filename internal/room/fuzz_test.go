package room

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/usher-im/usher/internal/reason"
)

func FuzzParseAddress(f *testing.F) {
	for _, jid := range []string{
		"room@conference.example.com", "[acme]Caf%C3%89@muc.example.com/nick", "[]@x", "a%00b@x", "\u05d0a@x", "%5ba%5db@x",
		"a\xffb@x", "@", strings.Repeat("a\u0301", 200) + "@x",
	} {
		f.Add(jid)
	}
	f.Fuzz(func(t *testing.T, jid string) {
		a, problem := ParseAddress(jid)
		if problem != nil {
			if problem.Code != reason.RoomInvalid || a != (Address{}) {
				t.Fatalf("%q: %+q with %v", jid, a, problem)
			}
			return
		}
		for _, part := range []string{a.Tenant, a.Name, a.Domain} {
			if len(part) > maxBytes || !utf8.ValidString(part) {
				t.Fatalf("%q: %+q", jid, a)
			}
		}
		if a.Name == "" || a.Domain == "" {
			t.Fatalf("%q: %+q", jid, a)
		}
		// A token that names the room as its JID does opens it, and a token for another room does not.
		node, _, _ := strings.Cut(jid, "@")
		_, own := splitTenant(node)
		strict := Rules{VerifyDomain: false, RequireClaim: true}
		if own != Wildcard {
			if problem := strict.Match(Claim{Rooms: []string{own}, Present: true}, a); problem != nil && a.Tenant == "" {
				t.Fatalf("%q does not open %q: %v", own, jid, problem)
			}
		}
		if strict.Match(Claim{Rooms: []string{own + "-other"}, Present: true}, a) == nil {
			t.Fatalf("%q opens %q", own+"-other", jid)
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("room", "example.com", "room@conference.example.com", "conference", byte(0))
	f.Add("*", "*", "[acme]room@conference.example.com", "", byte(0xff))
	f.Add("r%a+", "acme", "[acme]room@muc.example.com", "muc", byte(0x1f))
	f.Add("[a]%", "\xff", "[a]%@x", "\u00ad", byte(0x05))
	f.Fuzz(func(t *testing.T, claim, subject, jid, prefix string, flags byte) {
		a, problem := ParseAddress(jid)
		if problem != nil {
			return
		}
		r := Rules{
			VerifyDomain: flags&1 != 0, RequireClaim: flags&2 != 0, AllowWildcard: flags&4 != 0, MUCPrefix: prefix,
			Patterns: []string{PatternsLua, PatternsRE2, PatternsDeny, ""}[flags>>6],
		}
		c := Claim{Rooms: []string{claim}, Present: flags&8 == 0, Regex: flags&16 != 0, Subject: subject}
		problem = r.Match(c, a)
		if problem == nil && r.VerifyDomain && subject != Wildcard && a.Tenant != "" && !strings.EqualFold(folded(nodeprep, subject), a.Tenant) {
			t.Fatalf("subject %q opens the tenant %q", subject, a.Tenant)
		}
		if problem == nil && claim == Wildcard && c.Present && !r.AllowWildcard {
			t.Fatal("a wildcard where none is allowed")
		}
		if again := r.Match(c, a); (again == nil) != (problem == nil) {
			t.Fatal("two answers to one question")
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, pattern := range []string{"team%-%d+", "[]a-z%]+", "(a*)*b", "x{1000}", "a)|(b", "%", strings.Repeat("a-", 90), "^$", "[\xff-\x00]"} {
		f.Add(pattern, "team-1")
	}
	f.Fuzz(func(t *testing.T, source, name string) {
		if len(name) > maxBytes {
			return
		}
		for _, kind := range []string{PatternsLua, PatternsRE2, PatternsDeny} {
			if p, err := compile(kind, source); err == nil {
				p.matches(name)
				p.matchesEverything()
			}
		}
	})
}
