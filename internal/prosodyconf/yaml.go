package prosodyconf

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// yamlOf writes the config. Each line that stands for an option names it and where it was set; secrets are never in
// comments.
func yamlOf(path string, profiles []*profile) string {
	y := &yamlText{}
	y.line("# Made by `usher config import %s`. Check it with `usher config check`.", oneLine(path))
	y.line("# Each line says which option of Prosody's it stands for. What is left out has usher's default, which is stricter than")
	y.line("# Jitsi's modules where those were open: tokens need an exp, and milliseconds are read as such.")
	y.line("profiles:")
	for _, p := range profiles {
		y.profile(p)
	}
	return y.String()
}

type yamlText struct{ strings.Builder }

func (y *yamlText) line(format string, a ...any) {
	fmt.Fprintf(y, format, a...)
	y.WriteByte('\n')
}

func (y *yamlText) profile(p *profile) {
	h := p.host
	y.line("  # VirtualHost %q (%s)", h.Name, oneLine(h.Where))
	for _, muc := range p.mucs {
		y.line("  # and the rooms of %q (%s)", muc.Name, oneLine(muc.Where))
	}
	y.line("  %s:", scalarText(h.Name))
	y.line("    guests: %s%s", allowDeny(h.Bool("allow_empty_token", false)), comment(h, "allow_empty_token"))
	y.line("    domain: %s%s", scalarText(p.domain()), comment(p.rooms, "muc_mapper_domain_base"))
	y.line("    muc_prefix: %s%s", scalarText(p.prefix()), comment(p.rooms, "muc_mapper_domain_prefix"))
	y.line("    rooms:")
	y.line("      verify_domain: %t%s", p.verify(), comment(p.rooms, "enable_domain_verification"))
	y.line("      require_claim: %t%s", h.Bool("asap_require_room_claim", true), comment(h, "asap_require_room_claim"))
	y.line("      create: deny # a room is opened by the focus, as with token_verification")
	if p.anyMUCLoads("token_no_wildcard") {
		y.line("      wildcard: deny # token_no_wildcard")
		y.line("      patterns: deny # token_no_wildcard")
	} else if !p.rooms.Bool("token_regex_enabled", true) {
		y.line("      patterns: deny%s", comment(p.rooms, "token_regex_enabled"))
	}
	y.line("    issuers:")
	for _, iss := range issuers(h) {
		y.issuer(p, iss)
	}
}

func issuers(h *Host) []string {
	list := h.Strings("asap_accepted_issuers", h.String("app_id", ""))
	if slices.Contains(list, "*") {
		return []string{"*"}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (y *yamlText) issuer(p *profile, iss string) {
	h := p.host
	option := "app_id"
	if _, ok := h.Lookup("asap_accepted_issuers"); ok {
		option = "asap_accepted_issuers"
	}
	y.line("      - iss: %s%s", scalarText(iss), comment(h, option))
	if len(p.keys.algorithms) > 0 {
		y.line("        algorithms: %s%s", listText(p.keys.algorithms), comment(h, "signature_algorithm"))
	}
	y.line("        keys:")
	for _, e := range p.keys.entries {
		y.entry(h, e)
	}
	y.line("        audiences: %s%s", listText(h.Strings("asap_accepted_audiences", "*")), comment(h, "asap_accepted_audiences"))
	y.line("        # Jitsi's modules take any sub at login, and compare it with the room where domains are verified. Narrower:")
	y.line("        # name your domain and your tenants.")
	y.line(`        subjects: ["*"]`)
	if p.keys.allowShort {
		y.line("        allow_short_secret: true # until the issuer has a secret of %d bytes or more", minSecret)
	}
	if p.keys.allowHTTP {
		y.line("        allow_http: true # who sits between can give you keys of theirs; use https")
	}
}

func (y *yamlText) entry(h *Host, e entry) {
	if e.name == "pem" && strings.Contains(e.value, "\n") {
		y.line("          - pem: |%s", comment(h, e.option))
		for text := range strings.Lines(strings.TrimSpace(e.value)) {
			y.line("              %s", strings.TrimSpace(text))
		}
		return
	}
	y.line("          - %s: %s%s", e.name, scalarText(e.value), comment(h, e.option))
}

// shownOptions are those whose value a comment may show: no secret, no URL that may hold one.
var shownOptions = []string{
	"allow_empty_token", "app_id", "asap_accepted_audiences", "asap_accepted_issuers", "asap_require_room_claim",
	"enable_domain_verification", "muc_mapper_domain_base", "muc_mapper_domain_prefix", "signature_algorithm",
	"token_regex_enabled",
}

// comment names the option that a line stands for.
func comment(h *Host, option string) string {
	v, ok := h.Lookup(option)
	if !ok {
		return " # " + option + " was not set"
	}
	if slices.Contains(shownOptions, option) {
		return fmt.Sprintf(" # %s = %s (%s)", option, luaText(v.Is), oneLine(v.Where))
	}
	return fmt.Sprintf(" # %s (%s)", option, oneLine(v.Where))
}

func allowDeny(allow bool) string {
	if allow {
		return "allow"
	}
	return "deny"
}

// plainScalar needs no quotes in YAML, in any version of it.
var plainScalar = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./-]*$`)

// wordsOfYAML are texts that some YAML reads as something else.
var wordsOfYAML = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "."}

// scalarText writes a text for YAML. A JSON string is one.
func scalarText(s string) string {
	if plainScalar.MatchString(s) && !slices.Contains(wordsOfYAML, strings.ToLower(s)) {
		return s
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil { // a string always encodes
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func listText(list []string) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = scalarText(s)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// oneLine keeps a file's name from ending the comment that it stands in.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return '?'
		}
		return r
	}, s)
}
