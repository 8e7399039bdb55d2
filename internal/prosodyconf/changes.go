package prosodyconf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// modulesFolder is where usher's packages put Prosody's side.
const modulesFolder = "/usr/share/usher/prosody"

// takenOver are options that nothing in Prosody reads any more once usher's modules are in place, unless one of keepers is
// loaded somewhere.
var takenOver = []string{
	"app_secret", "signature_algorithm", "asap_key_server", "asap_accepted_issuers", "asap_accepted_audiences",
	"asap_require_room_claim", "cache_keys_url", "enable_domain_verification", "jwt_pubkey_cache_size", "token_regex_enabled",
	"token_regex_room_max_length", "token_regex_max_quantifiers", "app_id",
}

// keepers are Jitsi's plugins that read takenOver themselves, through its token/util.
var keepers = []string{
	"filter_iq_rayo", "muc_end_meeting", "muc_jigasi_invite", "muc_kick_participant", "muc_password_check", "muc_size",
	"system_chat_message", "visitors_component",
}

// notNeeded are modules whose work usher does too, by what usher_apply calls it; where they stay, usher leaves it to them.
var notNeeded = []struct{ module, work string }{{"token_affiliation", "affiliation"}, {"token_security_ondemand", "room_policy"}}

// anonymousProviders are the default of anonymous_auth_methods, by which Jitsi's muc_resource_validate tells whose nicks
// anonymous_strict binds to their usernames.
var anonymousProviders = []string{"anonymous", "jitsi-anonymous", "token"}

// changes writes the lines of Prosody's config that change, in Lua.
func (c *Config) changes(profiles []*profile) string {
	l := &luaLines{}
	l.line("-- Prosody's side: the lines to change. Nothing has been changed for you.")
	l.pluginPaths(c)
	var mucs []*Host
	guests := map[*Host]string{} // by whose profile a MUC judges those without a token
	for _, p := range profiles {
		l.host(p, c.keepers())
		mucs = append(mucs, p.mucs...)
		for _, muc := range p.mucs {
			if p.host == p.rooms && p.emptyToken() && len(c.tokenless(muc)) > 0 {
				guests[muc] = p.host.Name
			}
		}
	}
	for i, muc := range mucs {
		if !slices.Contains(mucs[:i], muc) {
			l.muc(muc, guests[muc], c.tokenless(muc))
		}
	}
	return l.String()
}

type luaLines struct{ strings.Builder }

func (l *luaLines) line(format string, a ...any) {
	fmt.Fprintf(l, format, a...)
	l.WriteByte('\n')
}

func (l *luaLines) pluginPaths(c *Config) {
	paths := (&Host{Options: c.Global}).Strings("plugin_paths")
	if slices.Contains(paths, modulesFolder) {
		return
	}
	where := "new"
	if v, ok := c.Global["plugin_paths"]; ok {
		where = v.Where
	}
	l.line("\n-- %s", oneLine(where))
	l.line("plugin_paths = %s", luaText(toList(append(slices.Clone(paths), modulesFolder))))
}

func (l *luaLines) host(p *profile, keepers []string) {
	h := p.host
	l.line("\n-- %s", oneLine(h.Where))
	l.line("VirtualHost %s", luaText(h.Name))
	v, _ := h.Lookup("authentication")
	forAll := ""
	if _, own := h.Options["authentication"]; !own {
		forAll = ", for all hosts"
	}
	l.line("    authentication = \"usher\" -- was %s%s (%s)", luaText(v.Is), forAll, oneLine(v.Where))
	var going []string
	for _, option := range takenOver {
		if _, set := h.Lookup(option); set {
			going = append(going, option)
		}
	}
	switch {
	case len(going) == 0:
	case len(keepers) > 0:
		l.line("    -- %s read these too, so they stay: %s", strings.Join(keepers, ", "), strings.Join(going, ", "))
	default:
		l.line("    -- nothing reads these any more; remove them when usher runs, the secret before all: %s", strings.Join(going, ", "))
	}
}

// keepers are those that some host loads, all hosts together.
func (c *Config) keepers() []string {
	loaders := append([]*Host{{Options: c.Global}}, c.Hosts...)
	var loaded []string
	for _, module := range keepers {
		loads := func(h *Host) bool { return h.Loads(module) || h.Component == module }
		if slices.ContainsFunc(loaders, loads) {
			loaded = append(loaded, module)
		}
	}
	return loaded
}

func (l *luaLines) muc(muc *Host, guestsOf string, tokenless []string) {
	asks := muc.Loads("muc_usher") // all that it lacks then is who judges guests, now that the profile has the host's name
	if _, set := muc.Lookup("usher_profile"); set {
		guestsOf = ""
	}
	if asks && guestsOf == "" {
		return
	}
	l.line("\n-- %s", oneLine(muc.Options["modules_enabled"].Where))
	l.line("Component %s \"muc\"", luaText(muc.Name))
	if !asks {
		l.modules(muc)
	}
	if guestsOf != "" {
		l.line("    usher_profile = %s -- so that its guests: allow holds for users of %s too, who have no tokens", luaText(guestsOf), oneLine(strings.Join(tokenless, ", ")))
	}
	if asks {
		return
	}
	l.apply(muc)
	l.anonymousProviders(muc)
	l.mainServer(muc)
}

func (l *luaLines) modules(muc *Host) {
	l.line("    modules_enabled = {")
	for _, module := range muc.Strings("modules_enabled") {
		switch {
		case module == "token_verification":
			l.line("        \"muc_usher\"; -- was \"token_verification\"")
		case isNotNeeded(module):
			l.line("        %s; -- may go: usher does this where the module is not loaded", luaText(module))
		default:
			l.line("        %s;", luaText(module))
		}
	}
	l.line("    }")
}

func isNotNeeded(module string) bool {
	for _, m := range notNeeded {
		if m.module == module {
			return true
		}
	}
	return false
}

// apply keeps usher from doing what no module has done so far.
func (l *luaLines) apply(muc *Host) {
	if _, set := muc.Lookup("usher_apply"); set {
		return
	}
	var done List
	var others []string
	for _, m := range notNeeded {
		if muc.Loads(m.module) {
			done = append(done, m.work)
		} else {
			others = append(others, m.module)
		}
	}
	if len(others) > 0 {
		l.line("    usher_apply = %s -- as before; left out, usher also does what %s would", luaText(done), strings.Join(others, " and "))
	}
}

// anonymousProviders keeps the users of tokens bound to the nicks that anonymous_strict gives them.
func (l *luaLines) anonymousProviders(muc *Host) {
	names := muc.Strings("anonymous_auth_methods", anonymousProviders...)
	if !muc.Loads("muc_resource_validate") || !muc.Bool("anonymous_strict", false) || !slices.Contains(names, "token") || slices.Contains(names, "usher") {
		return
	}
	l.line("    anonymous_auth_methods = %s -- \"usher\" is new: else anybody with a token may take any nick", luaText(toList(append(slices.Clone(names), "usher"))))
}

// mainServer lets in whom the main server sends to a node of visitors: everybody from another server was let in so far.
func (l *luaLines) mainServer(muc *Host) {
	main := muc.String("main_domain", "")
	if _, set := muc.Lookup("usher_s2s_allow"); set || main == "" || !muc.Loads("fmuc") {
		return
	}
	l.line("    usher_s2s_allow = %s -- the participants whom fmuc shows to visitors come from there; list their other hosts (guests) too", luaText(List{main}))
}

func toList(texts []string) List {
	list := make(List, len(texts))
	for i, s := range texts {
		list[i] = s
	}
	return list
}

// luaText writes a value as Lua has it, on one line.
func luaText(v any) string {
	switch v := v.(type) {
	case string:
		return luaString(v)
	case List:
		if len(v) == 0 {
			return "{}"
		}
		texts := make([]string, len(v))
		for i, item := range v {
			texts[i] = luaText(item)
		}
		return "{ " + strings.Join(texts, ", ") + " }"
	case bool, float64:
		return text(v)
	}
	return "…"
}

// luaString escapes bytes that are no plain text by their decimal number, which every Lua reads.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case strconv.IsPrint(r) && (r != utf8.RuneError || size > 1):
			b.WriteRune(r)
		default:
			for _, c := range []byte(s[:size]) {
				fmt.Fprintf(&b, `\%03d`, c)
			}
		}
		s = s[size:]
	}
	b.WriteByte('"')
	return b.String()
}
