package prosodyconf

import (
	"errors"
	"math"
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// optionMetatable makes `modules_enabled { "x" }` and option:append{…} work on an option that is set, as in Prosody 13.
func (e *evaluation) optionMetatable() *lua.LTable {
	appended := e.state.NewFunction(func(l *lua.LState) int {
		option, more := l.CheckTable(1), l.CheckTable(2)
		more.ForEach(func(key, value lua.LValue) {
			if _, isIndex := key.(lua.LNumber); isIndex {
				option.Append(value)
			} else {
				option.RawSet(key, value)
			}
		})
		l.Push(option)
		return 1
	})
	methods := e.state.NewTable()
	methods.RawSetString("append", appended)
	meta := e.state.NewTable()
	meta.RawSetString("__call", appended)
	meta.RawSetString("__index", methods)
	return meta
}

// finish turns the program's values into plain ones.
func (e *evaluation) finish() error {
	c := converter{left: maxElements}
	for host, settings := range e.values {
		options := e.config.Global
		if h, ok := e.config.Host(host); ok {
			options = h.Options
		}
		for name, s := range settings {
			if s.value != lua.LNil {
				options[name] = Value{Is: c.plain(s.value, 0), Where: s.where}
			}
		}
	}
	if c.left < 0 {
		return errors.New("the config's options hold too many values")
	}
	// Prosody starts none of these (core/hostmanager.lua); Jitsi's package brings one, with a token host of its own.
	e.config.Hosts = slices.DeleteFunc(e.config.Hosts, func(h *Host) bool { return h.Options["enabled"].Is == false })
	return nil
}

// converter counts what it converts: a table that holds another twice, which holds another twice, is small for Lua and
// endless written out.
type converter struct{ left int }

func (c *converter) plain(v lua.LValue, depth int) any {
	if c.left--; c.left < 0 || depth > 32 {
		return nil
	}
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LBool:
		return bool(v)
	case lua.LNumber:
		return float64(v)
	case *lua.LTable:
		if v.RawGetInt(1) != lua.LNil || isEmpty(v) {
			return c.list(v, depth)
		}
		return c.table(v, depth)
	}
	return nil // a function
}

func (c *converter) list(t *lua.LTable, depth int) List {
	list := List{}
	for i := 1; c.left >= 0; i++ {
		v := t.RawGetInt(i)
		if v == lua.LNil {
			return list
		}
		list = append(list, c.plain(v, depth+1))
	}
	return list
}

func (c *converter) table(t *lua.LTable, depth int) Map {
	m := Map{}
	t.ForEach(func(key, value lua.LValue) {
		switch key := key.(type) {
		case lua.LString:
			m[string(key)] = c.plain(value, depth+1)
		case lua.LNumber:
			if n := float64(key); n == math.Trunc(n) {
				m[key.String()] = c.plain(value, depth+1)
			}
		}
	})
	return m
}

func isEmpty(t *lua.LTable) bool {
	key, _ := t.Next(lua.LNil)
	return key == lua.LNil
}
