package room

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/reason"
)

func TestPattern_IsForTheWholeRoomName(t *testing.T) {
	for _, c := range []struct {
		kind, pattern, name string
		want                bool
	}{
		{PatternsLua, "team%-%d+", "team-42", true},
		{PatternsLua, "team%-%d+", "team-42x", false},
		{PatternsLua, "team%-%d+", "my-team-42", false},
		{PatternsLua, "^team%-.*$", "team-", true},
		{PatternsLua, "team", "team", true},
		{PatternsLua, "t", "team", false},
		{PatternsLua, "(team)%-(%d)", "team-1", true},
		{PatternsLua, "room.-", "room-secret", false}, // as upstream: string.match gives "room", which is not the room
		{PatternsLua, "room.-", "room", true},
		{PatternsLua, "stra.+e", "straße", true},
		{PatternsLua, "Team%-%W%W", "team---", true}, // letters fold, classes do not
		{PatternsLua, "Team%-%W", "team-w", false},
		{PatternsLua, "[A-Z]+", "team", true},
		{PatternsLua, "[]]x", "]x", true},
		{PatternsLua, "a%$b^", "a$b^", true},
		{PatternsRE2, `team-\d+`, "team-42", true},
		{PatternsRE2, `team-\d+`, "team-42x", false},
		{PatternsRE2, `Team|Room`, "team", true},
		{PatternsRE2, `team|room`, "rooms", false},
		{PatternsRE2, `stra\pLe`, "straße", true},
	} {
		p, err := compile(c.kind, c.pattern)
		if err != nil {
			t.Errorf("%s pattern %q: %v", c.kind, c.pattern, err)
			continue
		}
		if got := p.matches(c.name); got != c.want {
			t.Errorf("%s pattern %q on %q: got %v", c.kind, c.pattern, c.name, got)
		}
	}
}

func TestPattern_WrongAnywhereIsInvalid(t *testing.T) {
	for _, c := range []struct{ kind, pattern string }{
		{PatternsLua, "room%"},
		{PatternsLua, "room["},
		{PatternsLua, "room[^"},
		{PatternsLua, "room[]"},
		{PatternsLua, "room[a%]"},
		{PatternsLua, "room("},
		{PatternsLua, "room)"},
		{PatternsLua, "(a))"},
		{PatternsLua, "zzz%f[%w"},
		{PatternsLua, "zzz%b"},
		{PatternsLua, "%f[%w]"},
		{PatternsLua, "%b()"},  // no regular expression can say it
		{PatternsLua, "(a)%1"}, // nor this
		{PatternsLua, "%0"},
		{PatternsLua, strings.Repeat("()", 33)},
		{PatternsLua, strings.Repeat("a", maxPattern+1)},
		{PatternsRE2, "room("},
		{PatternsRE2, "a)|(?:b"}, // must not get out of the anchors
		{PatternsRE2, `(a)\1`},
		{PatternsRE2, "(?:x{1000}){2}"},
		{PatternsRE2, strings.Repeat("x{900}", 10)},
		{PatternsDeny, "room"},
		{"glob", "room"},
	} {
		if _, err := compile(c.kind, c.pattern); err == nil {
			t.Errorf("%s pattern %q was taken", c.kind, c.pattern)
		}
	}
}

func TestPattern_TheSlowestOfThemTakesBoundedTime(t *testing.T) {
	name := strings.Repeat("a", maxBytes)
	for _, c := range []struct{ kind, pattern string }{
		{PatternsLua, strings.Repeat("a-", 100) + "b"},
		{PatternsLua, strings.Repeat("a*", 64) + "b"},
		{PatternsLua, strings.Repeat(".-", 64) + "$"},
		{PatternsLua, strings.Repeat("(.*)", 30) + "x"},
		{PatternsRE2, "(a*)*b"},
		{PatternsRE2, "(a|aa)+b"},
		{PatternsRE2, "a{900}b"},
	} {
		p, err := compile(c.kind, c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		started := cpu(t)
		p.matches(name)
		// Lua itself would take longer than the universe has; a millisecond or two is what it takes here.
		if took := cpu(t) - started; took > 500*time.Millisecond {
			t.Errorf("%s pattern %q took %v", c.kind, c.pattern, took)
		}
	}
}

// cpu is what this process has used of it: a busy machine takes none of that away.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// A claim may have many patterns, and a short one may stand for much: what a token costs is bounded as a whole.
func TestPattern_AllOfATokenTogetherAreBounded(t *testing.T) {
	for _, c := range []struct {
		kind, pattern string
		many          int
		taken         bool
	}{
		{PatternsLua, "customer-12345-team-%a+", 256, true},
		{PatternsRE2, `customer-12345-team-\d+`, 256, true},
		{PatternsRE2, `[\pL\pN-]{3,40}`, 1, true},
		{PatternsRE2, `[\pL\pN-]{3,40}`, 2, false},
		{PatternsRE2, `(?:\pL{31}){31}`, 1, false},
		{PatternsRE2, "(?:.{0,30}){15}x", 8, true},
		{PatternsRE2, "(?:.{0,30}){15}x", 256, false},
		{PatternsLua, strings.Repeat("[^acegikmoqsuwy]", 15), 256, false},
	} {
		claim := Claim{Rooms: slices.Repeat([]string{c.pattern}, c.many), Present: true, Regex: true, Subject: Wildcard}
		var kept [8]Prepared
		before := heap()
		for n := range kept {
			kept[n] = Rules{AllowWildcard: true, Patterns: c.kind}.Prepare(claim)
		}
		each := (heap() - before) / len(kept)
		p := &kept[0]
		if taken := p.refused == nil; taken != c.taken || !taken && p.refused.Code != reason.RoomPatternInvalid {
			t.Errorf("%d times %s pattern %q: %v", c.many, c.kind, c.pattern, p.refused)
		}
		if each > 2*p.Memory()+4096 || p.Memory() > maxMemory {
			t.Errorf("%d times %s pattern %q takes %d bytes and is said to take %d", c.many, c.kind, c.pattern, each, p.Memory())
		}
		runtime.KeepAlive(&kept)
	}
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Pieces of which random patterns are made: each that Lua knows, and the ways to get them wrong.
var luaPieces = []string{
	"a", "b", "A", "1", "-", "_", "é", "\x00", "%a", "%c", "%d", "%g", "%l", "%p", "%s", "%u", "%w", "%x", "%z", "%W", "%S", "%G",
	"%%", "%-", "%.", "%q", ".", "*", "+", "-", "?", "[ab]", "[^a]", "[a-c]", "[c-a]", "[]a]", "[^]]", "[%w-]", "[a-]", "[%-a]",
	"[+-%]]", "[%a-z]", "[^%d]", "[a-%z]", "(", ")", "()", "^", "$", "%", "[", "]",
}

var luaNames = []string{"", "a", "b", "ab", "aab", "abab", "a-b", "a1", "1", "_", "é", "aé", "a\x00", "-", "%", "]", "a]", "ABC", "a b", "*", "a+", "z-", "^", "$a"}

func TestPattern_MatchesAsLuaMatches(t *testing.T) {
	lua, err := exec.LookPath("lua5.4")
	if err != nil {
		t.Log("lua5.4 is not installed here: resting on the tables of this file")
		return
	}
	type question struct{ pattern, name string }
	random := rand.New(rand.NewPCG(5, 4))
	var questions []question
	var in bytes.Buffer
	for range 20_000 {
		var b strings.Builder
		for range 1 + random.IntN(6) {
			b.WriteString(luaPieces[random.IntN(len(luaPieces))])
		}
		for range 4 {
			q := question{b.String(), luaNames[random.IntN(len(luaNames))]}
			questions = append(questions, q)
			fmt.Fprintf(&in, "%x %x\n", q.pattern, q.name)
		}
	}
	command := exec.Command(lua, "testdata/match.lua")
	command.Stdin = &in
	out, err := command.Output()
	if err != nil {
		t.Fatalf("match with Lua: %v", err)
	}
	answers := strings.Fields(string(out))
	taken := 0
	for i, q := range questions {
		p, err := compileLua(q.pattern)
		switch {
		case err != nil: // Lua may not have come to what is wrong
		case answers[i] == "E":
			t.Errorf("pattern %q: Lua finds it wrong, we do not", q.pattern)
		case p.matches(q.name) != (answers[i] == "1"):
			t.Errorf("pattern %q on %q: Lua says %s", q.pattern, q.name, answers[i])
		default:
			taken++
		}
	}
	if taken < len(questions)/3 {
		t.Errorf("only %d of %d questions were comparable", taken, len(questions))
	}
}

func TestPattern_SetsHoldWhatTheySay(t *testing.T) {
	for class, set := range luaClasses {
		for c := range 256 {
			inverse := luaClass(class - 'a' + 'A')
			if set.has(byte(c)) == inverse.has(byte(c)) {
				t.Fatalf("%%%c and its upper case agree on byte %d", class, c)
			}
		}
	}
}
