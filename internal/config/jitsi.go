package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Overrides beside the JWT_* variables, for the issuers' own allow_short_secret and allow_http.
const (
	allowShortSecret = "USHER_ALLOW_SHORT_SECRET"
	allowPlainHTTP   = "USHER_ALLOW_HTTP"
)

// jitsiVariables are docker-jitsi-meet's variables that say how tokens are checked there (its prosody/rootfs/defaults/
// conf.d/jitsi-meet.cfg.lua turns them into the options of mod_auth_token).
var jitsiVariables = []string{
	"JWT_APP_ID", "JWT_APP_SECRET", "JWT_APP_SECRET_FILE", "JWT_ACCEPTED_ISSUERS", "JWT_ACCEPTED_AUDIENCES",
	"JWT_ASAP_KEYSERVER", "JWT_ALLOW_EMPTY", "JWT_ENABLE_DOMAIN_VERIFICATION", "JWT_SIGN_TYPE",
}

func (e variables) hasJitsi() bool { return e.anyOf(jitsiVariables) }

// ignoredJitsi says that JWT_* variables have no effect beside a file: they are usually there for Prosody's own image.
func (r *report) ignoredJitsi(env variables) {
	for _, name := range jitsiVariables {
		if env[name] != "" {
			r.warnings = append(r.warnings, Warning{Where: name,
				Text: "the file wins over docker-jitsi-meet's JWT_* variables, so this one has no effect; remove it, or remove the file"})
			return
		}
	}
}

// jitsi makes profile default out of docker-jitsi-meet's environment.
func (r *report) jitsi(cfg *Config, env variables) {
	p := &Profile{}
	setDefaults(reflect.ValueOf(p).Elem())
	cfg.Profiles = map[string]*Profile{"default": p}
	const path = "profiles.default"
	r.places.at[path] = place{variable: "JWT_APP_ID"}

	p.Rooms.VerifyDomain = r.jitsiSwitch(env, "JWT_ENABLE_DOMAIN_VERIFICATION", path+".rooms.verify_domain")
	guests := r.jitsiSwitch(env, "JWT_ALLOW_EMPTY", path+".guests")
	// Users of the guests' own host come into rooms where domains are not verified; JWT_ALLOW_EMPTY would besides let
	// strangers log in to the token host, whose users the focus takes for authenticated.
	if !guests && !p.Rooms.VerifyDomain && env["ENABLE_GUESTS"] != "" {
		guests = r.jitsiSwitch(env, "ENABLE_GUESTS", path+".guests")
	}
	if guests {
		p.Guests = Allow
	}
	p.Domain = env["XMPP_DOMAIN"]
	r.places.at[path+".domain"] = place{variable: "XMPP_DOMAIN"}
	p.MUCPrefix = jitsiPrefix(env)
	r.places.at[path+".muc_prefix"] = place{variable: "XMPP_MUC_DOMAIN"}

	issuers := listOf(first(env["JWT_ACCEPTED_ISSUERS"], env["JWT_APP_ID"]))
	if len(issuers) == 0 {
		r.faultAt(place{variable: "JWT_APP_ID"}, path+".issuers", "this must be set: it is the iss of the tokens, unless JWT_ACCEPTED_ISSUERS names others")
	}
	key, ok := r.jitsiKey(env, path+".issuers")
	if !ok {
		return
	}
	for i, name := range unique(issuers) { // named twice it is one issuer there, and a mistake in a file
		iss := &Issuer{}
		setDefaults(reflect.ValueOf(iss).Elem())
		iss.Iss, iss.Keys = name, []KeySource{key}
		// Upstream takes any sub at connect; with domain verification on, the room check compares it at join.
		iss.Subjects = []string{Any}
		iss.Audiences = r.jitsiAudiences(env, i == 0)
		iss.AllowShortSecret = env[allowShortSecret] != "" && r.jitsiSwitch(env, allowShortSecret, path)
		iss.AllowHTTP = env[allowPlainHTTP] != "" && r.jitsiSwitch(env, allowPlainHTTP, path)
		if alg := env["JWT_SIGN_TYPE"]; alg != "" {
			iss.Algorithms = []string{alg}
		}
		p.Issuers = append(p.Issuers, iss)
		r.jitsiPlaces(env, path+".issuers["+strconv.Itoa(i)+"]")
	}
	r.jitsiAlgorithm(env)
}

func (r *report) jitsiPlaces(env variables, path string) {
	r.places.at[path] = place{variable: "JWT_APP_ID"}
	if env["JWT_ACCEPTED_ISSUERS"] != "" {
		r.places.at[path] = place{variable: "JWT_ACCEPTED_ISSUERS"}
	}
	r.places.at[path+".iss"] = r.places.at[path]
	r.places.at[path+".audiences"] = place{variable: "JWT_ACCEPTED_AUDIENCES"}
	r.places.at[path+".algorithms"] = place{variable: "JWT_SIGN_TYPE"}
	r.places.at[path+".allow_short_secret"] = place{variable: allowShortSecret}
	r.places.at[path+".allow_http"] = place{variable: allowPlainHTTP}
	source := "JWT_APP_SECRET"
	for _, name := range []string{"JWT_APP_SECRET_FILE", "JWT_ASAP_KEYSERVER"} {
		if env[name] != "" {
			source = name
		}
	}
	for _, end := range []string{"", "[0]", "[0].secret_file", "[0].secret", "[0].pem", "[0].asap_url"} {
		r.places.at[path+".keys"+end] = place{variable: source}
	}
}

// jitsiKey: a key server alone serves where one is set, as upstream, so that an old secret beside it opens nothing.
func (r *report) jitsiKey(env variables, path string) (KeySource, bool) {
	key := KeySource{}
	setDefaults(reflect.ValueOf(&key).Elem())
	secret := env["JWT_APP_SECRET"]
	asymmetric := env["JWT_SIGN_TYPE"] != "" && !strings.HasPrefix(env["JWT_SIGN_TYPE"], "HS")
	switch {
	case env["JWT_ASAP_KEYSERVER"] != "":
		key.ASAPURL = env["JWT_ASAP_KEYSERVER"]
		if secret != "" {
			r.warnings = append(r.warnings, Warning{Where: "JWT_APP_SECRET",
				Text: "keys come from JWT_ASAP_KEYSERVER, so this secret has no effect, as in Jitsi; remove it"})
		}
	case env["JWT_APP_SECRET_FILE"] != "" && asymmetric:
		key.PEM = env["JWT_APP_SECRET_FILE"]
	case env["JWT_APP_SECRET_FILE"] != "":
		key.SecretFile = env["JWT_APP_SECRET_FILE"]
	case asymmetric && strings.Contains(secret, "PRIVATE KEY"):
		r.faultAt(place{variable: "JWT_APP_SECRET"}, path, "this is a private key, which only the issuer should have; set the public key, as `openssl pkey -pubout` writes it")
		return key, false
	case asymmetric && secret != "":
		// A path or the PEM itself; Lua reads \n in the option as a line's end, so it is one here too.
		key.PEM = strings.ReplaceAll(secret, `\n`, "\n")
	case isPEM(secret):
		r.faultAt(place{variable: "JWT_APP_SECRET"}, path, "this is a key, not a shared secret: whoever has it could write tokens; set JWT_SIGN_TYPE to what it verifies, such as RS256")
		return key, false
	case secret != "":
		key.Secret = Secret(secret)
		if allowed, _ := strconv.ParseBool(env[allowShortSecret]); len(secret) < 32 && !allowed {
			// The key ring refuses it too, but what it says to do is for a file.
			r.faultAt(place{variable: "JWT_APP_SECRET"}, path, "this secret has %d bytes, and one under 32 can be guessed from a single token; use a longer one (openssl rand -base64 48), or set %s=true until it is changed", len(secret), allowShortSecret)
			return key, false
		}
	default:
		r.faultAt(place{variable: "JWT_APP_SECRET"}, path, "this must be set (or JWT_APP_SECRET_FILE, or JWT_ASAP_KEYSERVER): without a key no token can be checked")
		return key, false
	}
	return key, true
}

// jitsiAudiences: Jitsi takes any audience where none is set, so that a token made for another service opens rooms.
// Here it is the two that Jitsi's own instructions write into tokens.
func (r *report) jitsiAudiences(env variables, say bool) []string {
	if list := listOf(env["JWT_ACCEPTED_AUDIENCES"]); len(list) > 0 {
		return list
	}
	list := []string{"jitsi"}
	if id := env["JWT_APP_ID"]; id != "" && id != "jitsi" {
		list = append(list, id)
	}
	if say {
		r.warnings = append(r.warnings, Warning{Where: "JWT_ACCEPTED_AUDIENCES",
			Text: "this is not set, so tokens must name the audience " + alternatives(list) + "; set it to the aud of your tokens"})
	}
	return list
}

func (r *report) jitsiAlgorithm(env variables) {
	alg := env["JWT_SIGN_TYPE"]
	if alg == "" {
		return
	}
	issuer, _ := find(fields(reflect.TypeFor[Issuer]()), "algorithms")
	if _, err := oneOf(issuer.enum, alg); err != nil {
		r.faultAt(place{variable: "JWT_SIGN_TYPE"}, "profiles.default.issuers[0].algorithms", "%s", err)
	}
}

// jitsiPrefix: docker-jitsi-meet takes the first label of XMPP_MUC_DOMAIN, which is muc.meet.jitsi if unset.
func jitsiPrefix(env variables) string {
	if prefix := env["XMPP_MUC_DOMAIN_PREFIX"]; prefix != "" {
		return prefix
	}
	label, _, _ := strings.Cut(first(env["XMPP_MUC_DOMAIN"], "muc"), ".")
	return label
}

// jitsiSwitch reads a boolean as docker-jitsi-meet's templates do: 1, t, true in any case, and their opposites.
func (r *report) jitsiSwitch(env variables, name, path string) bool {
	r.places.at[path] = place{variable: name}
	if env[name] == "" {
		return false
	}
	on, err := strconv.ParseBool(env[name])
	if err != nil {
		r.faultAt(place{variable: name}, path, "must be true or false, not %q", env[name])
	}
	return on
}

// unique keeps the first of each.
func unique(list []string) []string {
	var kept []string
	for _, item := range list {
		if !slices.Contains(kept, item) {
			kept = append(kept, item)
		}
	}
	return kept
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
