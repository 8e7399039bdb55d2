package room

import (
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/reason"
)

func TestAddress_IsReadAsProsodySeesIt(t *testing.T) {
	for _, c := range []struct {
		jid  string
		want Address
	}{
		{"room@conference.example.com", Address{"", "room", "conference.example.com"}},
		{"Room@Conference.Example.COM", Address{"", "room", "conference.example.com"}},
		{"room@conference.example.com.", Address{"", "room", "conference.example.com"}},
		{"room@conference.example.com/nick@home/x", Address{"", "room", "conference.example.com"}},
		{"[acme]room@conference.example.com", Address{"acme", "room", "conference.example.com"}},
		{"[ACME]Room@conference.example.com", Address{"acme", "room", "conference.example.com"}},
		{"[a.b]room]x@muc.example.com", Address{"a.b", "room]x", "muc.example.com"}},
		{"[[a]room@muc.example.com", Address{"[a", "room", "muc.example.com"}},
		{"[]room@muc.example.com", Address{"", "[]room", "muc.example.com"}},
		{"[acme]@muc.example.com", Address{"", "[acme]", "muc.example.com"}},
		{"[acme@muc.example.com", Address{"", "[acme", "muc.example.com"}},
		{"Straße@muc.example.com", Address{"", "strasse", "muc.example.com"}},
		{"😀@muc.example.com", Address{"", "😀", "muc.example.com"}},
		{"room@münchen.example", Address{"", "room", "münchen.example"}},
	} {
		got, problem := ParseAddress(c.jid)
		if problem != nil || got != c.want {
			t.Errorf("%q: got %+q, %v; want %+q", c.jid, got, problem, c.want)
		}
	}
}

func TestAddress_PercentEncodingIsUndoneOnceAfterTheTenantIsSplitOff(t *testing.T) {
	for _, c := range []struct{ node, tenant, name string }{
		{"caf%c3%a9", "", "café"},
		{"CAF%C3%89", "", "café"},
		{"my%20room", "", "my room"},
		{"a%40b", "", "a@b"},
		{"100%", "", "100%"},
		{"100%25", "", "100%"},
		{"a%2520b", "", "a%20b"},              // once, and no further
		{"%5bacme%5droom", "", "[acme]room"},  // no tenant comes out of it
		{"[acme]caf%c3%a9", "acme", "café"},   //
		{"[%61cme]room", "%61cme", "room"},    // a tenant is not encoded
		{"[acme]a%5db", "acme", "a]b"},        //
		{"a%ffb", "", "a%ffb"},                // no UTF-8: itself
		{"a%00b", "", "a%00b"},                // no name at all: itself
		{"a%20%zz", "", "a%20%zz"},            // all or nothing, as decodeURIComponent
		{"%c2%ad", "", "%c2%ad"},              // would be nothing
		{"%e2%84%aaelvin", "", "kelvin"},      // prepared after decoding
		{"a+b", "", "a+b"},                    // a plus is a plus
		{"%2a", "", "*"},                      // a room of that name, no wildcard
		{"\uff05\uff14\uff11", "", "a"},       // prepared before decoding as well
		{"caf\u00e9%c3%a9", "", "caf\u00e9é"}, // mixed
		{"__jicofo-health-check-1", "", "__jicofo-health-check-1"},
	} {
		got, problem := ParseAddress(c.node + "@muc.example.com")
		want := Address{c.tenant, c.name, "muc.example.com"}
		if problem != nil || got != want {
			t.Errorf("%q: got %+q, %v; want %+q", c.node, got, problem, want)
		}
	}
}

func TestAddress_ThatIsNoneIsRoomInvalid(t *testing.T) {
	for _, jid := range []string{
		"", "@", "/", "room", "muc.example.com", "room/muc.example.com", "muc.example.com/room@x", "room@", "@muc.example.com", "room@.", "room@/nick",
		"room@muc.example.com/", "a@b@c", "room@muc@example.com/nick", "a b@muc.example.com", "a\x00@muc.example.com",
		"a\"b@muc.example.com", "a\xff@muc.example.com", "\u00ad@muc.example.com", "אa@muc.example.com", "room@\u00ad",
		"\ue000@muc.example.com", strings.Repeat("a", 1024) + "@muc.example.com", "room@" + strings.Repeat("a", 1024),
		"a" + strings.Repeat("\u0301", 40) + "@muc.example.com",
	} {
		got, problem := ParseAddress(jid)
		if problem == nil || problem.Code != reason.RoomInvalid {
			t.Errorf("%q: got %+q, %v", jid, got, problem)
		}
	}
}

func TestTenant_OfTheTokenAgainstTheURLSetsTheMismatchFlag(t *testing.T) {
	for _, c := range []struct {
		context string
		has     bool
		url     string
		want    bool
	}{
		{"acme", true, "acme", false},
		{"ACME", true, "acme", false},
		{"acme", true, "Acme", false},
		{"acme", true, "other", true},
		{"acme", true, "", true},
		{"", false, "acme", false},
		{"", true, "acme", true},
		{"", true, "", false},
	} {
		if got := TenantMismatch(c.context, c.has, c.url); got != c.want {
			t.Errorf("context.tenant %q (%v) against %q: got %v", c.context, c.has, c.url, got)
		}
	}
}
