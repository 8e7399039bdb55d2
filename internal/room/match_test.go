package room

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/reason"
)

// jitsi are the rules of a profile that says nothing about rooms.
var jitsi = Rules{VerifyDomain: true, RequireClaim: true, AllowWildcard: true, Patterns: PatternsLua, MUCPrefix: "conference"}

func with(change func(*Rules)) Rules {
	r := jitsi
	change(&r)
	return r
}

func names(rooms ...string) Claim {
	return Claim{Rooms: rooms, Present: true, Subject: "example.com"}
}

func patterns(rooms ...string) Claim {
	c := names(rooms...)
	c.Regex = true
	return c
}

func (c Claim) of(subject string) Claim {
	c.Subject = subject
	return c
}

// asked is one row of a table: rules, a claim, a room, and the verdict.
type asked struct {
	rules Rules
	claim Claim
	room  string
	want  reason.Code
}

func run(t *testing.T, rows []asked) {
	t.Helper()
	for _, row := range rows {
		address, problem := ParseAddress(row.room)
		if problem == nil {
			problem = row.rules.Match(row.claim, address)
		}
		got := reason.None
		if problem != nil {
			got = problem.Code
		}
		if got != row.want {
			t.Errorf("%q of %q for %q: got %q (%v), want %q", row.claim.Rooms, row.claim.Subject, row.room, got, problem, row.want)
		}
	}
}

const (
	allowed  = reason.None
	mismatch = reason.RoomMismatch
	other    = reason.TenantMismatch
)

func TestRoom_NamesCompareAfterPreparation(t *testing.T) {
	run(t, []asked{
		{jitsi, names("room"), "room@conference.example.com", allowed},
		{jitsi, names("Room"), "ROOM@conference.example.com", allowed},
		{jitsi, names("rooms"), "room@conference.example.com", mismatch},
		{jitsi, names("room"), "rooms@conference.example.com", mismatch},
		{jitsi, names("room "), "room@conference.example.com", mismatch},
		{jitsi, names("Café"), "caf%c3%a9@conference.example.com", allowed},
		{jitsi, names("caf%C3%A9"), "caf%c3%a9@conference.example.com", allowed},
		{jitsi, names("cafe\u0301"), "café@conference.example.com", allowed},
		{jitsi, names("My Room"), "my%20room@conference.example.com", allowed},
		{jitsi, names("My%20Room"), "my%20room@conference.example.com", allowed},
		{jitsi, names("Team @ Home %zz"), "room@conference.example.com", mismatch},
		{jitsi, names("a%2520b"), "a%20b@conference.example.com", mismatch},
		{jitsi, names(""), "room@conference.example.com", mismatch},
		{jitsi, names("\u00ad"), "room@conference.example.com", mismatch},
		{jitsi, names("\xff"), "room@conference.example.com", mismatch},
		{jitsi, names("room@conference.example.com"), "room@conference.example.com", mismatch},
	})
}

// XMPP forbids that a node mixes directions, but sees nothing of what Jitsi's client encodes.
func TestRoom_NamesFromRightToLeftMayHoldDigitsAndLatinLetters(t *testing.T) {
	for _, name := range []string{"פגישה", "פגישה 5", "5 פגישה", "Team פגישה", "اجتماع", "اجتماع-2", "اجتماع ۲", "جلسه\u200cی ما"} {
		encoded := strings.ToLower(url.PathEscape(strings.ToLower(name)))
		run(t, []asked{
			{jitsi, names(name), encoded + "@conference.example.com", allowed},
			{jitsi, names(encoded), encoded + "@conference.example.com", allowed},
			{jitsi, names(name + "5"), encoded + "@conference.example.com", mismatch},
		})
	}
}

func TestRoom_StarIsAnyRoom(t *testing.T) {
	run(t, []asked{
		{jitsi, names("*"), "room@conference.example.com", allowed},
		{jitsi, patterns("*"), "room@conference.example.com", allowed}, // before it is read as a pattern, as upstream
		{jitsi, names("*"), "[acme]room@conference.example.com", other},
		{jitsi, names("*").of("*"), "[acme]room@conference.example.com", allowed},
		{jitsi, names("%2a"), "room@conference.example.com", mismatch},
		{jitsi, names("%2a"), "*@conference.example.com", allowed},
		{jitsi, names("room*"), "rooms@conference.example.com", mismatch},
		{jitsi, names("a", "*"), "room@conference.example.com", allowed},
	})
}

func TestRoom_WildcardsCanBeForbidden(t *testing.T) {
	none := with(func(r *Rules) { r.AllowWildcard = false })
	re2 := with(func(r *Rules) { r.AllowWildcard, r.Patterns = false, PatternsRE2 })
	run(t, []asked{
		{none, names("*"), "room@conference.example.com", mismatch},
		{none, names("*"), "*@conference.example.com", mismatch},
		{none, names("room", "*"), "room@conference.example.com", mismatch},
		{none, names("*", "room"), "room@conference.example.com", mismatch},
		{none, patterns("*"), "room@conference.example.com", mismatch},
		{none, patterns(".*"), "room@conference.example.com", mismatch},
		{none, patterns("^.+$"), "room@conference.example.com", mismatch},
		{none, patterns("(.*)"), "room@conference.example.com", mismatch},
		{none, patterns(".-$"), "room@conference.example.com", mismatch},
		{none, patterns("[%w%W]+"), "room@conference.example.com", mismatch},
		{none, patterns("....+"), "room@conference.example.com", mismatch},
		{none, patterns("[^!]*"), "room@conference.example.com", mismatch},
		{none, patterns("team%-.*"), "team-1@conference.example.com", allowed},
		{none, patterns("%l+"), "room@conference.example.com", allowed},
		{none, patterns("%d+"), "42@conference.example.com", allowed},
		{none, names("room"), "room@conference.example.com", allowed},
		{re2, patterns(".*"), "room@conference.example.com", mismatch},
		{re2, patterns("a|.*"), "room@conference.example.com", mismatch},
		{re2, patterns("a|room"), "room@conference.example.com", allowed},
	})
}

func TestRoom_ClaimMayBeAnArray(t *testing.T) {
	run(t, []asked{
		{jitsi, names("one", "Two"), "two@conference.example.com", allowed},
		{jitsi, names("one", "two"), "one@conference.example.com", allowed},
		{jitsi, names("one", "two"), "three@conference.example.com", mismatch},
		{jitsi, names("one", "two"), "two@conference.other.com", other},
		{jitsi, names(), "two@conference.example.com", mismatch},
		{jitsi, patterns("one", "two%d"), "two2@conference.example.com", allowed},
	})
}

func TestRoom_PatternThatIsWrongIsInvalidWhateverTheRoom(t *testing.T) {
	deny := with(func(r *Rules) { r.Patterns = PatternsDeny })
	none := with(func(r *Rules) { r.AllowWildcard = false })
	re2 := with(func(r *Rules) { r.Patterns = PatternsRE2 })
	run(t, []asked{
		{jitsi, patterns("zzz["), "room@conference.example.com", reason.RoomPatternInvalid},
		{jitsi, patterns("room["), "room@conference.example.com", reason.RoomPatternInvalid},
		{jitsi, patterns("room", "("), "room@conference.example.com", reason.RoomPatternInvalid},
		{jitsi, patterns("*", "("), "room@conference.example.com", reason.RoomPatternInvalid},
		{none, patterns("*", "("), "room@conference.example.com", reason.RoomPatternInvalid},
		{jitsi, patterns("room["), "[acme]room@conference.example.com", reason.RoomPatternInvalid},
		{jitsi, patterns(strings.Repeat("a", 256)), strings.Repeat("a", 256) + "@conference.example.com", allowed},
		{jitsi, patterns(strings.Repeat("a", 257)), "room@conference.example.com", reason.RoomPatternInvalid},
		{deny, patterns("room"), "room@conference.example.com", reason.RoomPatternInvalid},
		{deny, names("room"), "room@conference.example.com", allowed},
		{re2, patterns("a)|(room"), "room@conference.example.com", reason.RoomPatternInvalid},
	})
}

func TestRoom_PatternIsNotReadWhereTheTokenDoesNotAskForOne(t *testing.T) {
	run(t, []asked{
		{jitsi, names("r.*"), "room@conference.example.com", mismatch},
		{jitsi, names("r.*"), "r.*@conference.example.com", allowed},
		{jitsi, patterns("r.*"), "room@conference.example.com", allowed},
	})
}

func TestRoom_PatternSeesTheRoomsOwnName(t *testing.T) {
	run(t, []asked{
		{jitsi, patterns("r%a+").of("acme"), "[acme]room@conference.example.com", allowed},
		{jitsi, patterns("%[acme%]room").of("acme"), "[acme]room@conference.example.com", mismatch},
		{jitsi, patterns("my room"), "my%20room@conference.example.com", allowed},
		{jitsi, patterns("Room%-%d"), "ROOM-1@conference.example.com", allowed},
	})
}

func TestRoom_TenantMustMatchSubject(t *testing.T) {
	run(t, []asked{
		{jitsi, names("room").of("acme"), "[acme]room@conference.example.com", allowed},
		{jitsi, names("room").of("ACME"), "[acme]room@conference.example.com", allowed},
		{jitsi, names("room").of("a"), "[a]room@conference.example.com", allowed},
		{jitsi, names("room").of("*"), "[acme]room@conference.example.com", allowed},
		{jitsi, names("room").of("other"), "[acme]room@conference.example.com", other},
		{jitsi, names("room").of("example.com"), "[acme]room@conference.example.com", other},
		{jitsi, names("room").of(""), "[acme]room@conference.example.com", other},
		{jitsi, names("room").of("acme*"), "[acme]room@conference.example.com", other},
	})
}

func TestRoom_WithoutATenantTheMUCDomainMustFitSubject(t *testing.T) {
	muc := with(func(r *Rules) { r.MUCPrefix = "muc" })
	upper := with(func(r *Rules) { r.MUCPrefix = "MUC" })
	unset := with(func(r *Rules) { r.MUCPrefix = "" })
	run(t, []asked{
		{jitsi, names("room"), "room@conference.example.com", allowed},
		{jitsi, names("room").of("Example.COM"), "room@conference.example.com", allowed},
		{jitsi, names("room").of("*"), "room@conference.example.com", allowed},
		{jitsi, names("room"), "room@muc.example.com", other},
		{jitsi, names("room"), "room@conference.other.com", other},
		{jitsi, names("room"), "room@conference.example.org", other}, // as long
		{jitsi, names("room"), "room@konference.example.com", other},
		{jitsi, names("room"), "room@conference-example.com", other},
		{jitsi, names("room").of("Example.ORG"), "room@conference.example.com", other},
		{jitsi, names("room").of("acme"), "room@conference.example.com", other},
		{jitsi, names("room").of("conference.example.com"), "room@conference.example.com", other},
		{jitsi, names("room").of(""), "room@conference.", other},
		{muc, names("room"), "room@muc.example.com", allowed},
		{upper, names("room"), "room@muc.example.com", allowed},
		{unset, names("room"), "room@conference.example.com", allowed},
	})
}

func TestRoom_NameIsJudgedBeforeTheTenant(t *testing.T) {
	run(t, []asked{{jitsi, names("other").of("other"), "[acme]room@conference.example.com", mismatch}})
}

func TestRoom_VerifyDomainOffComparesTheRoomsOwnNameAlone(t *testing.T) {
	off := with(func(r *Rules) { r.VerifyDomain = false })
	run(t, []asked{
		{off, names("room").of("anything"), "room@conference.example.com", allowed},
		{off, names("room").of("anything"), "[acme]room@conference.example.com", allowed},
		{off, names("room"), "[acme]my]room@conference.example.com", mismatch}, // upstream: any name that ends in ]room
		{off, names("my]room"), "[acme]my]room@conference.example.com", allowed},
		{off, patterns("ro+m"), "[acme]room@conference.example.com", allowed}, // upstream: a name, which no room has
		{off, names("[acme]room"), "[acme]room@conference.example.com", allowed},
		{off, names("[acme]room"), "[other]room@conference.example.com", mismatch},
		{off, names("[acme]room"), "room@conference.example.com", mismatch},
		{jitsi, names("[acme]room").of("acme"), "[acme]room@conference.example.com", mismatch},
	})
}

func TestRoom_MissingClaimOpensNothingUnlessTheProfileSaysSo(t *testing.T) {
	lenient := with(func(r *Rules) { r.RequireClaim = false })
	missing := Claim{Subject: "example.com"}
	run(t, []asked{
		{jitsi, missing, "room@conference.example.com", reason.RoomClaimMissing},
		{lenient, missing, "room@conference.example.com", allowed},
		{lenient, missing, "[acme]room@conference.example.com", other},        // nothing wider than a room of "*"
		{lenient, patterns("other"), "room@conference.example.com", mismatch}, // upstream: any room
		{lenient, names(), "room@conference.example.com", mismatch},
	})
}

func TestRoom_ThatDoesNotExistIsOpenedOnlyWhereTheProfileSaysSo(t *testing.T) {
	if problem := jitsi.Create(); problem == nil || problem.Code != reason.RoomDoesNotExist {
		t.Errorf("rooms.create: deny gave %v", problem)
	}
	if problem := with(func(r *Rules) { r.AllowCreate = true }).Create(); problem != nil {
		t.Errorf("rooms.create: allow gave %v", problem)
	}
}

func TestRoom_DeniesCarryTheCodesThatJitsiKnows(t *testing.T) {
	none := with(func(r *Rules) { r.AllowWildcard = false })
	for _, c := range []struct {
		rules Rules
		claim Claim
		want  string
	}{
		{jitsi, names("other"), "room-mismatch"},
		{none, names("*"), "room-mismatch"},
		{jitsi, patterns("other"), "room-name-does-not-match"},
		{jitsi, Claim{}, "room-name-does-not-match"},
		{jitsi, patterns("("), "invalid-regex"},
		{jitsi, names("room").of("acme"), ""},
	} {
		problem := c.rules.Match(c.claim, Address{Name: "room", Domain: "conference.example.com"})
		if problem == nil {
			t.Errorf("%q: allowed", c.claim.Rooms)
			continue
		}
		code := problem.JitsiCode
		if code == "" {
			code = problem.Code.Info().JitsiCode
		}
		if code != c.want {
			t.Errorf("%q: got %q, want %q", c.claim.Rooms, code, c.want)
		}
	}
}

func TestRoom_APreparedClaimServesManyRooms(t *testing.T) {
	p := jitsi.Prepare(patterns("team%-%d+", "All"))
	for room, want := range map[string]bool{"team-1": true, "team-22": true, "all": true, "team": false} {
		if got := p.Match(Address{Name: room, Domain: "conference.example.com"}) == nil; got != want {
			t.Errorf("%q: got %v", room, got)
		}
	}
}

func TestRoom_TheCommonMatchAllocatesNothing(t *testing.T) {
	p := jitsi.Prepare(names("team-meeting"))
	allocations := testing.AllocsPerRun(100, func() {
		address, problem := ParseAddress("team-meeting@conference.example.com")
		if problem != nil || p.Match(address) != nil {
			t.Fatal("not allowed")
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkParseAndMatch(b *testing.B) {
	p := jitsi.Prepare(names("team-meeting").of("acme"))
	b.ReportAllocs()
	for b.Loop() {
		address, _ := ParseAddress("[acme]team-meeting@conference.example.com")
		if p.Match(address) != nil {
			b.Fatal("not allowed")
		}
	}
}

func BenchmarkPattern(b *testing.B) {
	p := jitsi.Prepare(patterns("team%-%a+").of("acme"))
	b.ReportAllocs()
	for b.Loop() {
		address, _ := ParseAddress("[acme]team-meeting@conference.example.com")
		if p.Match(address) != nil {
			b.Fatal("not allowed")
		}
	}
}

func ExampleRules_Match() {
	rules := Rules{VerifyDomain: true, RequireClaim: true, AllowWildcard: true, MUCPrefix: "conference"}
	claim := Claim{Rooms: []string{"Standup"}, Present: true, Subject: "acme"}
	for _, jid := range []string{"[acme]standup@conference.example.com", "[other]standup@conference.example.com"} {
		address, _ := ParseAddress(jid)
		fmt.Println(jid, rules.Match(claim, address) == nil)
	}
	// Output:
	// [acme]standup@conference.example.com true
	// [other]standup@conference.example.com false
}
