package prosodyconf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

func init() {
	// gopher-lua fills a table up to the highest index below this one: t[67108863] = 1 would take a gigabyte.
	lua.MaxArrayIndex = 1 << 12
}

// LookupEnv reads environment variables (os.LookupEnv). A nil one knows none.
type LookupEnv func(name string) (string, bool)

func (l LookupEnv) value(name string) (string, bool) {
	if l == nil {
		return "", false
	}
	return l(name)
}

// evaluation is one run of a config.
type evaluation struct {
	env     LookupEnv
	config  *Config
	meter   *meter
	state   *lua.LState
	globals *lua.LTable
	// values are the options by host, as the program's own values until the end: a program may still append to them.
	values map[string]map[string]setting
	// optionMeta lets `modules_enabled { "x" }` append, as Prosody 13 does.
	optionMeta *lua.LTable
	depth      int
}

// setting is an option as the program set it.
type setting struct {
	value lua.LValue
	where string
}

// global is Prosody's name for all hosts.
const global = "*"

// Evaluate runs the config at path and the files that it includes.
func Evaluate(path string, env LookupEnv) (c *Config, err error) {
	e := &evaluation{
		env:    env,
		config: &Config{Global: Values{}, sources: sources{}},
		meter:  newMeter(),
		state:  lua.NewState(lua.Options{SkipOpenLibs: true, CallStackSize: 128, RegistrySize: 1 << 10, RegistryMaxSize: 1 << 16, RegistryGrowStep: 1 << 12}),
		values: map[string]map[string]setting{},
	}
	defer e.state.Close()
	defer func() {
		if p := recover(); p != nil { // the interpreter gave up on hostile input
			c, err = nil, fmt.Errorf("%s cannot be evaluated: %v", path, p)
		}
	}()
	e.globals = e.library()
	e.optionMeta = e.optionMetatable()
	e.state.SetContext(e.meter)
	if err := e.run(path); err != nil {
		return nil, e.explain(err)
	}
	if err := e.finish(); err != nil {
		return nil, err
	}
	return e.config, nil
}

// run evaluates one file in a scope of its own, beginning with options for all hosts, as Prosody does.
func (e *evaluation) run(path string) error {
	source, err := e.read(path)
	if err != nil {
		return err
	}
	chunk, err := parse.Parse(bytes.NewReader(source), path)
	if err != nil {
		return badSyntax(path, source, err)
	}
	if err := boundConcat(chunk); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	prototype, err := lua.Compile(chunk, path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	function := e.state.NewFunctionFromProto(prototype)
	function.Env = e.scope(path)
	e.state.Push(function)
	return e.state.PCall(0, 0, nil)
}

// read takes regular files only: a pipe or device would wait for ever.
func (e *evaluation) read(path string) ([]byte, error) {
	source, err := readRegular(path)
	if err != nil {
		return nil, err
	}
	e.config.Files = append(e.config.Files, path)
	if len(e.config.Files) > maxFiles {
		return nil, fmt.Errorf("%s: this is file number %d of the config; does a file include itself?", path, len(e.config.Files))
	}
	return source, nil
}

func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read: %w", path, cause(err))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s is larger than %d bytes and hardly a config", path, maxFile)
	}
	source, err := os.ReadFile(path)
	source = bytes.TrimPrefix(source, []byte("\ufeff")) // as Lua does
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", path, cause(err))
	}
	return source, nil
}

func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// badSyntax knows the one config that looks like Lua and is none.
func badSyntax(path string, source []byte, err error) error {
	if bytes.Contains(source, []byte("{{")) && bytes.Contains(source, []byte(".Env.")) {
		return fmt.Errorf("%s is a template of docker-jitsi-meet, not yet a config; import the one that its container writes (/run/prosody/config/prosody.cfg.lua or /config/prosody.cfg.lua)", path)
	}
	// The parser's own sentence quotes what stands there, and that may be the secret whose closing quote is missing.
	var bad *parse.Error
	switch {
	case !errors.As(err, &bad):
		return fmt.Errorf("%s is not valid Lua", path)
	case bad.Pos.Line == parse.EOF:
		return fmt.Errorf("%s is not valid Lua: at its end: %s", path, bad.Message)
	case bad.Pos.Column == 0: // the line's end was read already
		bad.Pos.Line--
	}
	return fmt.Errorf("%s is not valid Lua: line %d: %s", path, bad.Pos.Line, bad.Message)
}

// explain gives the sentence for what went wrong in the program, without the interpreter's stack.
func (e *evaluation) explain(err error) error {
	if e.meter.err != nil {
		return e.meter.err
	}
	var raised *lua.ApiError
	if errors.As(err, &raised) && raised.Object != nil && raised.Object != lua.LNil {
		said := raised.Object.String()
		if strings.Contains(said, "attempt to index a non-table object(nil)") || strings.Contains(said, "attempt to call a non-function object") {
			said += "; nothing is read here by io, require and the like: write there what comes of it, or FileLine(…) or os.getenv(…), and try again"
		}
		return errors.New(said)
	}
	return err
}

// resolve takes relative paths from the folder of the file that names them.
func resolve(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}
