package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// variables is an environment.
type variables map[string]string

func environment(list []string) variables {
	env := make(variables, len(list))
	for _, entry := range list {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		}
	}
	return env
}

// Variables of this prefix that are not keys of the config.
var reservedVariables = []string{"USHER_CONFIG", "USHER_SERVER", "USHER_CREDENTIAL_FILE", allowShortSecret, allowPlainHTTP}

// kubernetesVariable matches what Kubernetes sets in every pod for a Service named usher or usher-something; a warning
// for each of these would hide the ones that matter.
var kubernetesVariable = regexp.MustCompile(`^USHER_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// Variable names the environment variable of a key outside profiles: admin.listen is USHER_ADMIN_LISTEN.
func Variable(path string) string {
	return "USHER_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// override lets USHER_* variables win over the file. An empty variable is as good as none: compose files pass them on so.
func (r *report) override(cfg *Config, env variables) {
	r.overrideSection(reflect.ValueOf(cfg).Elem(), "", env)
	known := append(slices.Clone(reservedVariables), variableNames(reflect.TypeFor[Config](), "")...)
	elsewhere := secretVariables(cfg)
	unknown := []string{}
	for name := range env {
		if strings.HasPrefix(name, "USHER_") && !slices.Contains(known, name) && !slices.Contains(elsewhere, name) && !kubernetesVariable.MatchString(name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		r.unknownVariable(name, known)
	}
}

func (r *report) overrideSection(v reflect.Value, path string, env variables) {
	for _, f := range fields(v.Type()) {
		here, target := join(path, f.name), v.Field(f.index)
		switch {
		case f.kind == isNamed || f.kind == isEntries || f.kind == isFlags:
		case f.optional():
			names := variableNames(section(f.typ), here)
			n := slices.IndexFunc(names, func(name string) bool { return env[name] != "" })
			if n < 0 {
				continue
			}
			if target.IsNil() {
				target.Set(reflect.New(f.typ.Elem()))
				setDefaults(target.Elem())
				r.places.at[here] = place{variable: names[n]} // it stands in no file
			}
			r.overrideSection(target.Elem(), here, env)
		case f.kind == isSection:
			r.overrideSection(target, here, env)
		default:
			r.overrideValue(f, target, here, env)
		}
	}
}

func (r *report) overrideValue(f field, v reflect.Value, path string, env variables) {
	name := Variable(path)
	text := env[name]
	if text == "" {
		return
	}
	r.places.at[path] = place{variable: name}
	if f.kind == isList {
		v.Set(reflect.ValueOf(listOf(text)))
		return
	}
	if err := setScalar(f, v, scalar{text: text}); err != nil {
		r.fault(path, "%s", err)
	}
}

func (e variables) anyOf(list []string) bool {
	return slices.ContainsFunc(list, func(name string) bool { return e[name] != "" })
}

// variableNames lists the variables of a section's keys.
func variableNames(t reflect.Type, path string) []string {
	var list []string
	for _, f := range fields(t) {
		here := join(path, f.name)
		switch f.kind {
		case isNamed, isEntries, isFlags:
		case isSection:
			list = append(list, variableNames(section(f.typ), here)...)
		default:
			list = append(list, Variable(here))
		}
	}
	return list
}

// secretVariables lists the variables that keys name by secret_env: they may have any name, USHER_ included.
func secretVariables(cfg *Config) []string {
	var list []string
	for _, p := range cfg.Profiles {
		for _, iss := range p.Issuers {
			for _, k := range iss.Keys {
				list = append(list, k.SecretEnv)
			}
		}
	}
	return list
}
