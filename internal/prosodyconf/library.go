package prosodyconf

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// What a config may call. All of it works on values alone; what builds text pays for it at the meter.

// kept are the functions of gopher-lua's libraries that are handed on as they are.
var kept = map[string][]string{
	"":                {"assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring", "type", "unpack"},
	lua.MathLibName:   {"abs", "ceil", "floor", "huge", "max", "min", "pi"},
	lua.StringLibName: {"byte", "char", "len", "sub"},
	lua.TabLibName:    {"insert", "remove", "getn", "maxn"},
}

// library makes the table of globals that a config starts from.
func (e *evaluation) library() *lua.LTable {
	e.open(lua.BaseLibName, lua.OpenBase)
	e.open(lua.MathLibName, lua.OpenMath)
	e.open(lua.StringLibName, lua.OpenString)
	e.open(lua.TabLibName, lua.OpenTable)
	globals := e.state.NewTable()
	for library, names := range kept {
		from, to := e.state.G.Global, globals
		if library != "" {
			from, to = from.RawGetString(library).(*lua.LTable), e.state.NewTable()
			globals.RawSetString(library, to)
		}
		for _, name := range names {
			to.RawSetString(name, from.RawGetString(name))
		}
	}
	e.addText(globals.RawGetString(lua.StringLibName).(*lua.LTable))
	globals.RawGetString(lua.TabLibName).(*lua.LTable).RawSetString("concat", e.state.NewFunction(e.tableConcat))
	os := e.state.NewTable()
	os.RawSetString("getenv", e.state.NewFunction(e.getenv))
	globals.RawSetString("os", os)
	globals.RawSetString("print", e.state.NewFunction(func(*lua.LState) int { return 0 }))
	globals.RawSetString("Lua", globals)
	globals.RawSetString(concatName, e.state.NewFunction(e.concat))
	return globals
}

func (e *evaluation) open(name string, open lua.LGFunction) {
	e.state.Push(e.state.NewFunction(open))
	e.state.Push(lua.LString(name))
	e.state.Call(1, 0)
}

// addText adds the text functions that need bounds, and makes methods of all: ("x"):upper().
func (e *evaluation) addText(library *lua.LTable) {
	whole := e.state.G.Global.RawGetString(lua.StringLibName).(*lua.LTable)
	library.RawSetString("format", e.state.NewFunction(e.format))
	library.RawSetString("rep", e.state.NewFunction(e.rep))
	for _, name := range []string{"lower", "reverse", "upper"} {
		library.RawSetString(name, e.paid(whole, name))
	}
	for _, name := range []string{"find", "match", "gmatch", "gsub"} {
		library.RawSetString(name, e.boundPattern(whole, name))
	}
	e.state.GetMetatable(lua.LString("")).(*lua.LTable).RawSetString("__index", library)
}

func (e *evaluation) pay(l *lua.LState, bytes int) {
	if err := e.meter.spend(bytes); err != nil {
		l.RaiseError("%s", err)
	}
}

// paid is a function that builds a text as long as its argument.
func (e *evaluation) paid(library *lua.LTable, name string) *lua.LFunction {
	whole := library.RawGetString(name)
	return e.state.NewFunction(func(l *lua.LState) int {
		e.pay(l, len(l.CheckString(1)))
		return forward(l, whole)
	})
}

func (e *evaluation) concat(l *lua.LState) int {
	left, right := l.Get(1), l.Get(2)
	for _, v := range []lua.LValue{left, right} {
		if !lua.LVCanConvToString(v) {
			l.RaiseError("attempt to concatenate a %s value", v.Type())
		}
	}
	a, b := lua.LVAsString(left), lua.LVAsString(right)
	e.pay(l, len(a)+len(b))
	l.Push(lua.LString(a + b))
	return 1
}

func (e *evaluation) rep(l *lua.LState) int {
	s, n := l.CheckString(1), max(l.CheckInt(2), 0)
	if len(s) > 0 && n > maxText/len(s) {
		n = maxText/len(s) + 1
	}
	e.pay(l, len(s)*n)
	l.Push(lua.LString(strings.Repeat(s, n)))
	return 1
}

// format knows the verbs of Lua without widths beyond two digits, as Lua itself.
func (e *evaluation) format(l *lua.LState) int {
	format := l.CheckString(1)
	bytes := len(format)
	digits := 0
	for _, c := range format {
		if digits++; c < '0' || c > '9' {
			digits = 0
		}
		if c == '*' || digits > 2 {
			l.RaiseError("invalid format (width or precision too long)")
		}
	}
	for i := 2; i <= l.GetTop(); i++ {
		bytes += len(l.Get(i).String()) + 100
	}
	e.pay(l, bytes)
	whole := l.G.Global.RawGetString(lua.StringLibName).(*lua.LTable)
	return forward(l, whole.RawGetString("format"))
}

// Patterns have no bound on steps in gopher-lua, so what they may be tried on is small.
const (
	maxSubject    = 256
	maxRepeats    = 2
	patternTooBig = "this pattern is too much for the import (%d bytes of text, %d repetitions at most); write the value itself"
)

func (e *evaluation) boundPattern(whole *lua.LTable, name string) *lua.LFunction {
	return e.state.NewFunction(func(l *lua.LState) int {
		subject, pattern := l.CheckString(1), l.CheckString(2)
		repeats := strings.Count(pattern, "*") + strings.Count(pattern, "+") + strings.Count(pattern, "-") + strings.Count(pattern, "?")
		if len(subject) > maxSubject || len(pattern) > maxSubject || repeats > maxRepeats {
			l.RaiseError(patternTooBig, maxSubject, maxRepeats)
		}
		if name == "gsub" {
			if replacement := l.CheckString(3); len(replacement) > maxSubject {
				l.RaiseError(patternTooBig, maxSubject, maxRepeats)
			}
		}
		return forward(l, whole.RawGetString(name))
	})
}

// forward calls a function with the arguments of the present one, and returns what it returns.
func forward(l *lua.LState, function lua.LValue) int {
	n := l.GetTop()
	l.Push(function)
	for i := 1; i <= n; i++ {
		l.Push(l.Get(i))
	}
	l.Call(n, lua.MultRet)
	return l.GetTop() - n
}

func (e *evaluation) tableConcat(l *lua.LState) int {
	table, separator := l.CheckTable(1), l.OptString(2, "")
	from, to := l.OptInt(3, 1), l.OptInt(4, table.Len())
	if to-from > maxElements {
		l.RaiseError("%s", errText)
	}
	var b strings.Builder
	for i := from; i <= to; i++ {
		v := table.RawGetInt(i)
		if !lua.LVCanConvToString(v) {
			l.RaiseError("invalid value (%s) at index %d in table for 'concat'", v.Type(), i)
		}
		if i > from {
			b.WriteString(separator)
		}
		s := lua.LVAsString(v)
		e.pay(l, len(s)+len(separator))
		b.WriteString(s)
	}
	l.Push(lua.LString(b.String()))
	return 1
}

func (e *evaluation) getenv(l *lua.LState) int {
	l.Push(e.variable(l.CheckString(1)))
	return 1
}

// variable reads an environment variable and remembers that its value came from there.
func (e *evaluation) variable(name string) lua.LValue {
	value, ok := e.env.value(name)
	if !ok {
		return lua.LNil
	}
	e.config.sources.add(value, source{variable: name})
	return lua.LString(value)
}
