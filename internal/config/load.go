package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// maxFile bounds what is read as a config.
const maxFile = 1 << 20

// Options is where Load looks.
type Options struct {
	// Path is the file that --config names. Empty: $USHER_CONFIG, then Search.
	Path string
	// Env is the environment as NAME=value, as os.Environ gives it.
	Env []string
	// Search is where a config is looked for when none is named; nil is DefaultSearch.
	Search []string
}

// DefaultSearch is where a config is looked for when neither --config nor $USHER_CONFIG names one.
func DefaultSearch() []string { return []string{"./usher.yaml", "/etc/usher/usher.yaml"} }

// Load reads the config file, or docker-jitsi-meet's JWT_* variables where there is none, lets USHER_* variables
// override, applies defaults and checks everything. The error is a Faults: every mistake, each in one sentence with
// file, line and remedy. Warnings are given beside a good config and beside faults.
func Load(opt Options) (*Config, []Warning, error) {
	env := environment(opt.Env)
	path, data, hidden, err := findFile(opt, env)
	if err != nil {
		return nil, nil, err
	}
	if path == "" && !env.hasJitsi() {
		return nil, nil, Faults{{Text: fmt.Sprintf(
			"there is no config: looked at --config, $USHER_CONFIG, %s and for JWT_APP_ID in the environment; `usher init` writes a first one",
			strings.Join(search(opt), ", "))}}
	}
	cfg, warnings, err := load(path, data, env)
	if hidden != "" {
		warnings = append(warnings, Warning{Where: hidden, Text: "this user may not look there, so the config is " + path + "; name the one that is meant with --config"})
	}
	return cfg, warnings, err
}

// Parse is Load for a config that is already in memory: name stands for the file in errors and in Config.Path, and
// relative paths in the config are taken from its folder.
func Parse(name string, data []byte, env []string) (*Config, []Warning, error) {
	return load(name, data, environment(env))
}

func load(path string, data []byte, env variables) (*Config, []Warning, error) {
	cfg := &Config{Path: path}
	setDefaults(reflect.ValueOf(cfg).Elem())
	r := &report{places: places{file: path, at: map[string]place{}}}
	if path == "" {
		r.jitsi(cfg, env)
	} else {
		r.yaml(cfg, data)
		r.ignoredJitsi(env)
	}
	r.override(cfg, env)
	r.resolve(cfg)
	r.secrets(cfg, env)
	r.files(cfg)
	r.checkAll(cfg)
	r.finish(cfg)
	r.sort()
	if len(r.faults) > 0 {
		return nil, r.warnings, r.faults
	}
	return cfg, r.warnings, nil
}

func (r *report) yaml(cfg *Config, data []byte) {
	doc, bad := parseDocument(data)
	if bad != nil {
		r.faultAt(place{line: bad.line}, "", "%s", bad.text)
		return
	}
	if doc.root == nil {
		return
	}
	d := &decoder{report: r, doc: doc}
	d.section(doc.root, reflect.ValueOf(cfg).Elem(), "")
}

// finish tells the config its names and places.
func (r *report) finish(cfg *Config) {
	cfg.places = r.places
	for name, p := range cfg.Profiles {
		p.Name = name
		for i, iss := range p.Issuers {
			for j := range iss.Keys {
				iss.Keys[j].Where = cfg.Where(fmt.Sprintf("profiles.%s.issuers[%d].keys[%d]", name, i, j))
			}
		}
	}
}

// Where tells where in the config a value comes from: "profiles.default.issuers[0].audiences" is "usher.yaml:31", or
// the environment variable that gave it. A value that was left out is named by the section it would stand in, and
// "(default)".
func (c *Config) Where(path string) string {
	at, exact := c.places.find(path)
	file := filepath.Base(c.Path)
	if c.Path == "" {
		file = "environment"
	}
	if label := c.places.label(at, file); exact {
		return label
	} else {
		return label + " (default)"
	}
}

// ProfileNames lists the profiles in alphabetical order.
func (c *Config) ProfileNames() []string {
	list := make([]string, 0, len(c.Profiles))
	for name := range c.Profiles {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func search(opt Options) []string {
	if opt.Search != nil {
		return opt.Search
	}
	return DefaultSearch()
}

// findFile gives the config's path and content; both empty where there is none and none was named. One may be hidden in a
// folder on the way there.
func findFile(opt Options, env variables) (path string, data []byte, hidden string, err error) {
	for _, named := range []struct{ by, path string }{{"--config", opt.Path}, {"$USHER_CONFIG", env["USHER_CONFIG"]}} {
		if named.path == "" {
			continue
		}
		data, err := readConfig(named.path)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil, "", Faults{{Where: named.path, Text: named.by + " names this file and it does not exist; correct the path, or write a first config with `usher init`"}}
		}
		return named.path, data, "", err
	}
	var unseen error
	for _, path := range search(opt) {
		data, err := readConfig(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		// Nobody can tell whether it is there: usher's user in root's home, as `sudo -u usher` has it, goes on to the next.
		if _, seen := os.Lstat(path); errors.Is(seen, fs.ErrPermission) {
			if unseen == nil {
				hidden, unseen = path, err
			}
			continue
		}
		return filepath.Clean(path), data, hidden, err
	}
	return "", nil, hidden, unseen
}

func readConfig(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err == nil && info.IsDir():
		return nil, Faults{{Where: path, Text: "this is a folder; name the usher.yaml in it"}}
	}
	data, err := readBounded(path)
	switch {
	case err != nil:
		return nil, Faults{{Where: path, Text: "this file cannot be read (" + cause(err) + "); let the user that runs usher read it, or type commands as that user or as root"}}
	case len(data) > maxFile:
		return nil, Faults{{Where: path, Text: "this is larger than 1MiB and hardly a config; name an usher.yaml"}}
	}
	return data, nil
}

// readBounded reads no more than is needed to see that there is too much: a device or a pipe tells no size, and may have
// no end.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// cause gives an error of the file system without the path, which the sentence has already named.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err.Error()
}
