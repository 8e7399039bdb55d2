package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// visit walks every key that takes a value, in sections of all kinds.
func visit(v reflect.Value, path string, seen func(section reflect.Value, f field, path string)) {
	for _, f := range fields(v.Type()) {
		here, target := join(path, f.name), v.Field(f.index)
		switch f.kind {
		case isSection:
			if f.optional() && target.IsNil() {
				continue
			}
			visit(reflect.Indirect(target), here, seen)
		case isNamed:
			for _, key := range target.MapKeys() {
				visit(target.MapIndex(key).Elem(), join(here, key.String()), seen)
			}
		case isEntries:
			for i := range target.Len() {
				visit(reflect.Indirect(target.Index(i)), fmt.Sprintf("%s[%d]", here, i), seen)
			}
		default:
			seen(v, f, here)
		}
	}
}

// secrets brings every secret to its key, from the variable or the file beside it. The keys of an issuer keep their
// file's name: the key ring reads it, again whenever it changes.
func (r *report) secrets(cfg *Config, env variables) {
	visit(reflect.ValueOf(cfg).Elem(), "", func(section reflect.Value, f field, path string) {
		if f.kind != isSecret {
			return
		}
		known := fields(section.Type())
		inline := section.Field(f.index)
		if inline.String() != "" && r.places.at[path].line > 0 {
			r.warn(path, "%s is written into the config; put it into a file of mode 0600 and name that as %s_file", path, f.name)
			r.openToOthers(path, r.places.file, "the config, with a secret in it,")
		}
		if variable, ok := find(known, f.name+"_env"); ok {
			r.secretFromEnv(inline, section.Field(variable.index).String(), path, env)
		}
		if file, ok := find(known, f.name+"_file"); ok && section.Type() != reflect.TypeFor[KeySource]() {
			r.secretFromFile(inline, section.Field(file.index), path)
		}
	})
}

func (r *report) secretFromEnv(inline reflect.Value, name, path string, env variables) {
	switch {
	case name == "":
	case inline.String() != "":
		r.fault(path+"_env", "%s and %s_env are both set; keep one of them", path, path)
	case env[name] == "":
		r.fault(path+"_env", "%s_env names an environment variable that is not set; set it where usher is started, or use %s_file", path, path)
	default:
		inline.SetString(env[name])
	}
}

// secretFromFile reads a secret's file. Where key and file come from different places, the environment wins.
func (r *report) secretFromFile(inline, file reflect.Value, path string) {
	here := path + "_file"
	if inline.String() != "" && file.String() != "" {
		switch byEnv := r.places.at[path].variable != ""; {
		case byEnv == (r.places.at[here].variable != ""):
			r.fault(here, "%s and %s are both set; keep the file", path, here)
		case byEnv:
			file.SetString("")
		default:
			inline.SetString("")
		}
	}
	if file.String() == "" {
		return
	}
	data, err := os.ReadFile(file.String())
	if err != nil {
		return // files says so
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if strings.TrimSpace(text) == "" { // as pseudonyms' keys are read: one of spaces alone would be none
		r.fault(here, "%s names an empty file; put the secret into it", here)
	}
	inline.SetString(text)
}

// resolve takes relative paths from the config's folder, so that it does not matter where usher is started. Those from
// the environment have no such folder.
func (r *report) resolve(cfg *Config) {
	visit(reflect.ValueOf(cfg).Elem(), "", func(section reflect.Value, f field, path string) {
		v := section.Field(f.index)
		at, _ := r.places.find(path)
		if !f.names(v.String()) || filepath.IsAbs(v.String()) || at.variable != "" || r.places.file == "" {
			return
		}
		v.SetString(filepath.Join(filepath.Dir(r.places.file), v.String()))
	})
}

// names says whether a value is the name of a file or folder.
func (f field) names(value string) bool {
	return f.file != "" && value != "" && value != "-" && !isPEM(value)
}

func isPEM(text string) bool { return strings.HasPrefix(text, "-----BEGIN ") }

// files sees that what is to be read is there.
func (r *report) files(cfg *Config) {
	visit(reflect.ValueOf(cfg).Elem(), "", func(section reflect.Value, f field, path string) {
		name := section.Field(f.index).String()
		if f.names(name) && (f.file == "read" || f.file == "secret") {
			r.readable(path, name, f.file == "secret")
		}
	})
}

func (r *report) readable(path, name string, secret bool) {
	file, err := os.Open(name)
	if err != nil {
		at, _ := r.places.find(path)
		doubtful := at.variable == "JWT_APP_SECRET" // a secret where JWT_SIGN_TYPE makes it the path of a public key
		r.fault(path, "%s names %s %s", path, r.shown(name, secret || doubtful), whyNot(err))
		return
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		r.fault(path, "%s names a folder; name a file in it", path)
		return
	}
	if secret {
		r.openToOthers(path, name, "the secret in "+name)
	}
}

func whyNot(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist; create it or correct the path"
	case errors.Is(err, fs.ErrPermission):
		return "the user that runs usher may not read; give it to that user or its group"
	default:
		return "cannot be read (" + cause(err) + "); correct the path"
	}
}

// shown keeps a secret that was written where its file's name belongs out of the message: only what lies in a folder
// that exists, and was not just put beside the config, is taken for a path.
func (r *report) shown(name string, secret bool) string {
	folder := filepath.Dir(name)
	info, err := os.Stat(folder)
	real := err == nil && info.IsDir() && folder != "/" && folder != "." && folder != filepath.Dir(r.places.file)
	if secret && !real {
		return "a file that"
	}
	return name + ", which"
}

// openToOthers warns where every user of the machine can read a secret.
func (r *report) openToOthers(path, name, what string) {
	if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o004 != 0 {
		r.warn(path, "%s can be read by every user of this machine; run `chmod o-rwx %s`", what, name)
	}
}
