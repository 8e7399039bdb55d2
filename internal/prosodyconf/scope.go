package prosodyconf

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// scope is what one file of a config sees: Prosody's own functions, a little of Lua, and options that become values of
// the current host by being assigned (core/configmanager.lua).
type scope struct {
	*evaluation
	file string
	host string
}

func (e *evaluation) scope(file string) *lua.LTable {
	s := &scope{evaluation: e, file: file, host: global}
	env := e.state.NewTable()
	for name, function := range map[string]lua.LGFunction{
		"VirtualHost": s.virtualHost, "Host": s.virtualHost, "host": s.virtualHost,
		"Component": s.component, "component": s.component,
		"Include": s.include, "include": s.include,
		"RunScript":    s.runScript,
		"FileContents": s.fileContents, "FileLine": s.fileLine, "FileLines": s.fileLines,
		"Credential": s.credential,
	} {
		env.RawSetString(name, e.state.NewFunction(function))
	}
	env.RawSetString(concatName, e.globals.RawGetString(concatName))
	meta := e.state.NewTable()
	meta.RawSetString("__index", e.state.NewFunction(s.index))
	meta.RawSetString("__newindex", e.state.NewFunction(s.newIndex))
	env.Metatable = meta
	return env
}

// index reads a global: an environment variable, an option that is set already, or a name of Lua. Anything else is nil,
// as in Prosody.
func (s *scope) index(l *lua.LState) int {
	name := l.ToString(2)
	switch option, ok := s.values[s.host][name]; {
	case strings.HasPrefix(name, "ENV_"):
		l.Push(s.variable(strings.TrimPrefix(name, "ENV_")))
	case ok:
		l.Push(option.value)
	default:
		l.Push(s.globals.RawGetString(name))
	}
	return 1
}

func (s *scope) newIndex(l *lua.LState) int {
	s.set(s.host, l.ToString(2), l.Get(3), strings.TrimSuffix(l.Where(1), ":"))
	return 0
}

func (e *evaluation) set(host, name string, value lua.LValue, where string) {
	if e.values[host] == nil {
		e.values[host] = map[string]setting{}
	}
	if table, ok := value.(*lua.LTable); ok && table.Metatable == lua.LNil {
		table.Metatable = e.optionMeta
	}
	e.values[host][name] = setting{value, where}
}

// virtualHost and component switch to a host; options follow as assignments, or as a table, after which the file is back
// at all hosts.
func (s *scope) virtualHost(l *lua.LState) int {
	h := s.declare(l, "")
	l.Push(l.NewFunction(func(l *lua.LState) int {
		s.table(l, h, l.CheckTable(1))
		return 0
	}))
	return 1
}

func (s *scope) component(l *lua.LState) int {
	h := s.declare(l, "component")
	withOptions := l.NewFunction(func(l *lua.LState) int {
		s.table(l, h, l.CheckTable(1))
		return 0
	})
	l.Push(l.NewFunction(func(l *lua.LState) int {
		if module, ok := l.Get(1).(lua.LString); ok {
			h.Component = string(module)
			l.Push(withOptions)
			return 1
		}
		s.table(l, h, l.CheckTable(1))
		return 0
	}))
	return 1
}

// declare makes the host current. Names fold as far as ASCII goes: what is left of name preparation does not matter for
// finding one's own hosts.
func (s *scope) declare(l *lua.LState, component string) *Host {
	name := strings.ToLower(strings.TrimSuffix(l.CheckString(1), "."))
	if name == "" {
		l.RaiseError("a host must have a name")
	}
	s.host = name
	if h, ok := s.config.Host(name); ok {
		if (h.Component == "") != (component == "") {
			l.RaiseError("%s is both a VirtualHost and a Component", name)
		}
		return h
	}
	h := &Host{Name: name, Component: component, Where: strings.TrimSuffix(l.Where(1), ":"), Options: Values{}, global: s.config.Global}
	s.config.Hosts = append(s.config.Hosts, h)
	return h
}

func (s *scope) table(l *lua.LState, h *Host, options *lua.LTable) {
	s.host = global
	where := strings.TrimSuffix(l.Where(1), ":")
	options.ForEach(func(name, value lua.LValue) {
		if name, ok := name.(lua.LString); ok {
			s.set(h.Name, string(name), value, where)
		}
	})
}

func (s *scope) include(l *lua.LState) int {
	file := resolve(s.file, l.CheckString(1))
	files := []string{file}
	if strings.ContainsAny(path.Base(file), "*?") {
		var err error
		if files, err = glob(file); err != nil {
			l.RaiseError("Include %s: %s", file, err)
		}
	}
	for _, f := range files {
		if s.depth++; s.depth > 16 {
			l.RaiseError("Include %s: files include each other too deeply", f)
		}
		if err := s.run(f); err != nil {
			l.RaiseError("%s", s.explain(err))
		}
		s.depth--
	}
	return 0
}

// glob lists the files that Prosody would include: * and ? in the last part of the path, hidden files left out. They are
// taken in the order of their names, where Prosody takes them as the folder has them.
func glob(file string) ([]string, error) {
	folder, pattern := filepath.Split(file)
	entries, err := os.ReadDir(filepath.Clean(folder))
	if err != nil {
		return nil, cause(err)
	}
	pattern = strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(pattern)
	var files []string
	for _, entry := range entries {
		if matched, _ := path.Match(pattern, entry.Name()); matched && !strings.HasPrefix(entry.Name(), ".") {
			files = append(files, filepath.Join(folder, entry.Name()))
		}
	}
	return files, nil
}

// runScript would give a program the whole machine.
func (s *scope) runScript(l *lua.LState) int {
	l.RaiseError("RunScript %s is not run by the import; put what it sets into the config while importing", l.CheckString(1))
	return 0
}
