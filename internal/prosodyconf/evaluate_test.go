package prosodyconf

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// write puts files into a folder of their own and gives the path of the first.
func write(t *testing.T, files ...string) string {
	t.Helper()
	folder := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(folder, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, files[0])
}

func environment(pairs ...string) LookupEnv {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func evaluate(t *testing.T, env LookupEnv, files ...string) *Config {
	t.Helper()
	c, err := Evaluate(write(t, files...), env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func host(t *testing.T, c *Config, name string) *Host {
	t.Helper()
	h, ok := c.Host(name)
	if !ok {
		t.Fatalf("no host %s", name)
	}
	return h
}

func TestEvaluate_HostsHaveTheirOwnOptionsAndTheGlobalOnes(t *testing.T) {
	c := evaluate(t, nil, "prosody.cfg.lua", `
		app_id = "everywhere"
		VirtualHost "Meet.Example.com"
			app_id = "mine"
			allow_empty_token = true
		VirtualHost "other.example.com" { app_id = "theirs", cross = { 1, 2 } }
		after_a_table = "global"
		Component "conference.meet.example.com" "muc"
			modules_enabled = { "token_verification"; "muc_meeting_id" }
		Component "focus.meet.example.com"
			component_secret = "x"
		Component "speaker.meet.example.com" "speakerstats" { muc_component = "conference.meet.example.com" }
	`)
	meet, other := host(t, c, "meet.example.com"), host(t, c, "other.example.com")
	if meet.String("app_id", "") != "mine" || !meet.Bool("allow_empty_token", false) || meet.String("after_a_table", "") != "global" {
		t.Errorf("meet: %+v", meet.Options)
	}
	if other.String("app_id", "") != "theirs" || other.Bool("allow_empty_token", false) {
		t.Errorf("other: %+v", other.Options)
	}
	muc := host(t, c, "conference.meet.example.com")
	if muc.Component != "muc" || !muc.Loads("token_verification") || muc.Loads("muc") || muc.String("app_id", "") != "everywhere" {
		t.Errorf("muc: %+v", muc)
	}
	if host(t, c, "focus.meet.example.com").Component != "component" || host(t, c, "speaker.meet.example.com").Component != "speakerstats" {
		t.Error("the other components")
	}
	if v, _ := meet.Lookup("app_id"); !strings.HasSuffix(v.Where, "prosody.cfg.lua:4") {
		t.Errorf("app_id was set at %q", v.Where)
	}
	if !strings.HasSuffix(meet.Where, "prosody.cfg.lua:3") {
		t.Errorf("the host stands at %q", meet.Where)
	}
}

func TestEvaluate_OptionsReadAsProsodysModulesReadThem(t *testing.T) {
	c := evaluate(t, nil, "prosody.cfg.lua", `
		text = "x"; number = 5; yes = true; quoted = "true"; one = 1; no = 0; list = { "a", "b", 3 }; empty = {}; single = "only"
		map = { key = "v", [7] = "seven" }; nested = { { "in" } }; unset = "x"; unset = nil; code = function() end
		VirtualHost "h"
	`)
	h := host(t, c, "h")
	for _, row := range []struct{ got, want any }{
		{h.String("text", ""), "x"},
		{h.String("number", ""), "5"},
		{h.String("list", ""), "a"},
		{h.String("unset", "default"), "default"},
		{h.String("code", "default"), "default"},
		{h.Bool("yes", false), true},
		{h.Bool("quoted", false), true},
		{h.Bool("one", false), true},
		{h.Bool("no", true), false},
		{h.Bool("text", true), true},
		{h.Bool("nothing", true), true},
		{h.Strings("list"), []string{"a", "b", "3"}},
		{h.Strings("single"), []string{"only"}},
		{len(h.Strings("empty", "d")), 0},
		{h.Strings("nothing", "d"), []string{"d"}},
		{h.global["map"].Is, Map{"key": "v", "7": "seven"}},
		{h.global["nested"].Is, List{List{"in"}}},
	} {
		if !reflect.DeepEqual(row.got, row.want) {
			t.Errorf("got %#v, want %#v", row.got, row.want)
		}
	}
}

func TestEvaluate_ALittleLuaWorks(t *testing.T) {
	c := evaluate(t, environment("APP_SECRET", "from the environment"), "prosody.cfg.lua", `
		local domain = "example.com"
		local hosts = {}
		for i, name in ipairs { "a", "b" } do table.insert(hosts, name .. "." .. domain) end
		joined = table.concat(hosts, ",")
		formatted = ("%s:%d"):format("x", 7)
		secret = os.getenv("APP_SECRET") or "none"
		same = ENV_APP_SECRET
		missing = os.getenv("NOT_THERE") or "fallback"
		unknown = some_name_that_nobody_knows
		known = domain .. "/" .. secret:sub(1, 4):upper() .. 1
		replaced = ("a-b"):gsub("%-", "_")
		again = joined
		if Lua.os.getenv("APP_SECRET") then branch = "taken" end
		while not done do done = true end
		VirtualHost (domain)
			modules_enabled = { "one" }
			modules_enabled { "two" }
		VirtualHost "z"
			more = { "x" }
			more:append { "y" }
	`)
	h := host(t, c, "example.com")
	for name, want := range map[string]string{
		"joined": "a.example.com,b.example.com", "formatted": "x:7", "secret": "from the environment", "same": "from the environment",
		"missing": "fallback", "unknown": "", "known": "example.com/FROM1", "replaced": "a_b", "again": "a.example.com,b.example.com",
		"branch": "taken",
	} {
		if got := h.String(name, ""); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := h.Strings("modules_enabled"); !reflect.DeepEqual(got, []string{"one", "two"}) {
		t.Errorf("modules_enabled: %q", got)
	}
	if got := host(t, c, "z").Strings("more"); !reflect.DeepEqual(got, []string{"x", "y"}) {
		t.Errorf("more: %q", got)
	}
}

func TestEvaluate_IncludesAreTakenFromTheFilesOwnFolder(t *testing.T) {
	c := evaluate(t, nil,
		"prosody.cfg.lua", `
			before = "1"
			VirtualHost "a"
			Include "conf.d/*.cfg.lua"
			own = "of a"
			include "extra/one.lua"`,
		"conf.d/b.cfg.lua", `in_b = "global"; VirtualHost "b" own = "of b"`,
		"conf.d/c.cfg.lua", `VirtualHost "c" own = "of c"`,
		"conf.d/.hidden.cfg.lua", `error("hidden files are not read")`,
		"conf.d/d.cfg.lua.bak", `error("nor is this")`,
		"extra/one.lua", `Include "two.lua"`,
		"extra/two.lua", `VirtualHost "two" secret = FileLine "../secrets/app"; all = FileContents("../secrets/app"); lines = FileLines "../secrets/app"`,
		"secrets/app", "line one\nline two\n",
	)
	for name, want := range map[string]string{"a": "of a", "b": "of b", "c": "of c"} {
		if got := host(t, c, name).String("own", ""); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	two := host(t, c, "two")
	if two.String("secret", "") != "line one" || two.String("all", "") != "line one\nline two\n" || len(two.Strings("lines")) != 2 {
		t.Errorf("two: %+v", two.Options)
	}
	if two.String("in_b", "") != "global" || len(c.Files) != 5 {
		t.Errorf("%q", c.Files)
	}
}

func TestEvaluate_MistakesAreSentencesWithFileAndLine(t *testing.T) {
	for _, row := range []struct{ name, source, want string }{
		{"syntax", "app_id = \n= 1", "not valid Lua: line 2: syntax error"},
		{"no closing quote", "\napp_secret = \"hunter2\n", "not valid Lua: line 2: unterminated string"},
		{"a secret too many", "\napp_secret = \"x\" \"hunter2\"", "not valid Lua: line 2: "},
		{"no end", "\nif app_secret == \"hunter2\" then", "not valid Lua: at its end: syntax error"},
		{"call of nothing", "\nNoSuchThing \"x\"", "prosody.cfg.lua:2: attempt to call a non-function"},
		{"missing include", "\nInclude \"nowhere.lua\"", "nowhere.lua cannot be read: no such file"},
		{"missing folder", "Include \"nowhere/*.lua\"", "no such file"},
		{"includes itself", "Include \"prosody.cfg.lua\"", "include each other too deeply"},
		{"its own error", "\n\nerror('stop here')", "prosody.cfg.lua:3: stop here"},
		{"no name", `VirtualHost ""`, "a host must have a name"},
		{"both", `VirtualHost "a" Component "a" "muc"`, "a is both a VirtualHost and a Component"},
		{"script", `RunScript "x.lua"`, "not run by the import"},
		{"file", "\napp_secret = io.open('app.secret'):read()", "prosody.cfg.lua:2: attempt to index a non-table object(nil) with key 'open'; nothing is read here by io"},
		{"library", `local paths = require "util.paths"`, "write there what comes of it, or FileLine(…)"},
		{"credential", `x = Credential "app"`, "$CREDENTIALS_DIRECTORY"},
		{"folder", `Include "."`, "no regular file"},
		{"template", `VirtualHost "{{ .Env.XMPP_DOMAIN }}" {{ if }}`, "template of docker-jitsi-meet"},
		{"table", "\nx = nil .. 'a'", "prosody.cfg.lua:2: attempt to concatenate a nil value"},
	} {
		_, err := Evaluate(write(t, "prosody.cfg.lua", row.source), nil)
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", row.name, err)
		}
	}
	if _, err := Evaluate("/nowhere/prosody.cfg.lua", nil); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestEvaluate_ReachesNothingOfTheMachine(t *testing.T) {
	for _, name := range []string{
		"io", "require", "dofile", "loadfile", "load", "loadstring", "package", "debug", "module", "setfenv", "getfenv",
		"_G", "collectgarbage", "coroutine", "newproxy", "rawset", "setmetatable", "getmetatable", "os.execute", "os.exit", "os.remove",
		"os.rename", "os.tmpname", "os.setenv", "string.dump", "Lua.io", "Lua.require", "Lua.os.execute", `("").dump`,
	} {
		c := evaluate(t, nil, "prosody.cfg.lua", `found = type(`+name+`) VirtualHost "h"`)
		if got := host(t, c, "h").String("found", ""); got != "nil" {
			t.Errorf("%s is a %s", name, got)
		}
	}
}

func TestEvaluate_IsBounded(t *testing.T) {
	for _, row := range []struct{ name, source string }{
		{"endless loop", `while true do end`},
		{"endless loop in pcall", `while true do pcall(function() while true do end end) end`},
		{"long loop", `for i = 1, 1e12 do end`},
		{"recursion", `function f() return 1 + f() end f()`},
		{"doubled text", `s = "x" for i = 1, 60 do s = s .. s end`},
		{"doubled text in one step", `local s = ("x"):rep(1000000); y = s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s`},
		{"kept text", `t = {} for i = 1, 100000 do t[i] = ("x"):rep(100000) .. i end`},
		{"upper", `local s = ("x"):rep(900000) for i = 1, 30 do s:upper() end`},
		{"lower", `local s = ("x"):rep(900000) for i = 1, 30 do s:lower() end`},
		{"reverse", `local s = ("x"):rep(900000) for i = 1, 30 do s:reverse() end`},
		{"kept upper", `local s = ("x"):rep(900000); local t = {} for i = 1, 100000 do t[i] = s:upper() end`},
		{"rep", `s = ("x"):rep(1e9)`},
		{"rep of nothing", `s = (""):rep(1e18) error("fine")`},
		{"format width", `s = ("%999999999d"):format(1)`},
		{"format star", `s = ("%*d"):format(1, 2)`},
		{"format", `local s = ("x"):rep(1000000); t = ("%s%s%s%s"):format(s, s, s, s)`},
		{"table.concat", `local s, t = ("x"):rep(1000000), {} for i = 1, 1000 do t[i] = s end u = table.concat(t)`},
		{"table.concat of nothing", `u = table.concat({}, "x", 1, 1e12)`},
		{"pattern", `s = ("a"):rep(250):match(".-.-.-.-.-.-.-.-b")`},
		{"gsub", `s = ("a"):rep(250):gsub("a", ("x"):rep(1000000))`},
		{"gsub function", `s = ("a"):rep(250):gsub("a", function() return "x" end)`},
		{"high index", `t = {} for i = 1, 100000 do t[i] = {} t[i][4000] = 1 end`},
		{"higher index", `t = {} t[67108863] = 1 for i = 1, 1e9 do end`},
		{"unpack", `t = { unpack({}, 1, 1e8) }`},
		{"shared tables", `local t = { 1 } for i = 1, 60 do t = { t, t } end x = t VirtualHost "h"`},
		{"deep", `x = ` + strings.Repeat("{", 5000) + strings.Repeat("}", 5000)},
		{"deep signs", `x = ` + strings.Repeat("- ", 5000) + `1`},
		{"deep concat", `x = ` + strings.Repeat(`"a" .. `, 5000) + `"b"`},
		{"large file", strings.Repeat("-", maxFile+1)},
	} {
		runtime.GC()
		path := write(t, "prosody.cfg.lua", row.source)
		// The clock stands still in there: what a program may do is counted, on a slow machine as on a fast one.
		var err error
		synctest.Test(t, func(*testing.T) { _, err = Evaluate(path, nil) })
		if err == nil {
			t.Errorf("%s: went through", row.name)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > 256<<20 {
			t.Errorf("%s: %d MB of memory", row.name, m.HeapAlloc>>20)
		}
	}
}

func TestMeter_EndsWhatTakesTooLongInFewSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter()
		time.Sleep(maxTime)
		for range 1000 {
			m.Done()
		}
		if m.Err() != nil {
			t.Errorf("just in time it is ended: %v", m.Err())
		}
		time.Sleep(time.Nanosecond)
		for range 1000 {
			m.Done()
		}
		if !errors.Is(m.Err(), errTime) {
			t.Errorf("after the time is up it says: %v", m.Err())
		}
	})
}

func FuzzEvaluate(f *testing.F) {
	for _, source := range []string{
		`app_id = "x" VirtualHost "a" { b = 1 }`, `Component "a" "muc" modules_enabled { "x" }`, `x = ("a"):gsub("%w", "%0%0")`,
		`for k, v in pairs(Lua) do x = k .. tostring(v) end`, `t = {} t[1] = t x = t`, `Include "*"`, "x = [==[\n]==]", `goto a ::a::`,
		`x = ("%5.2f %q"):format(1, "a")`, `local a <const> = 1`, `x = unpack({1,2,3})`, `x:append{1}`, `string.format()`,
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if strings.Contains(source, "File") || strings.Contains(source, "nclude") {
			return // no reading around on the machine that fuzzes
		}
		_, _ = Evaluate(write(t, "prosody.cfg.lua", source), nil)
	})
}

// Lua itself passes over what some editors begin a file with.
func TestEvaluate_PassesOverAByteOrderMark(t *testing.T) {
	c := evaluate(t, nil, "prosody.cfg.lua", "\ufeffInclude \"more.lua\"", "more.lua", "\ufeffVirtualHost \"a\" own = \"of a\"")
	if got := host(t, c, "a").String("own", ""); got != "of a" {
		t.Errorf("got %q", got)
	}
}
