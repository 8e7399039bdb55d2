package prosodyconf

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Options say how a config is imported.
type Options struct {
	// LookupEnv reads the environment variables that the config asks for; nil: there are none.
	LookupEnv LookupEnv
	// InlineSecrets writes secrets into the YAML instead of files beside it.
	InlineSecrets bool
}

// Result is what an import makes.
type Result struct {
	// YAML is the usher.yaml, with a comment wherever it says what the old config said.
	YAML string
	// Secrets are files that the YAML names; they belong beside it, mode 0600.
	Secrets []SecretFile
	// Prosody are the lines to change in Prosody's config.
	Prosody string
	// Notes are sentences for whoever runs the import: what needs a decision, or could not be taken over.
	Notes []string
}

// SecretFile is a secret that the YAML names by file. Content is not to be shown.
type SecretFile struct {
	Name    string
	Content []byte
}

// profile is one token host on its way into the YAML.
type profile struct {
	host *Host
	// rooms is the host whose options say how rooms are checked: the parent of the MUC, which for a second token host
	// beside a deployment's main one is the main one.
	rooms *Host
	mucs  []*Host
	keys  keys
	notes []string
}

// tokenProviders are the authentication providers that check tokens as usher will.
var tokenProviders = []string{"token", "usher"}

// Import reads the Prosody config at path and turns what its token modules read into usher's config.
func Import(path string, options Options) (Result, error) {
	c, err := Evaluate(path, options.LookupEnv)
	if err != nil {
		return Result{}, err
	}
	hosts := c.tokenHosts()
	if len(hosts) == 0 {
		return Result{}, fmt.Errorf("no VirtualHost in %s has authentication = \"token\", so there is nothing to import; name the main config (prosody.cfg.lua), which includes the others", strings.Join(c.Files, ", "))
	}
	var profiles []*profile
	var faults []error
	for _, h := range hosts {
		p, err := c.profileOf(h, options)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		profiles = append(profiles, p)
	}
	if len(faults) > 0 {
		return Result{}, errors.Join(faults...)
	}
	result := Result{YAML: yamlOf(path, profiles), Prosody: c.changes(profiles)}
	for _, p := range profiles {
		result.Notes = append(result.Notes, p.notes...)
		if p.keys.file != nil {
			result.Secrets = append(result.Secrets, *p.keys.file)
		}
	}
	result.Notes = append(result.Notes, c.otherProviders()...)
	return result, nil
}

func (c *Config) tokenHosts() []*Host {
	var hosts []*Host
	for _, h := range c.Hosts {
		if h.Component == "" && slices.Contains(tokenProviders, h.String("authentication", "")) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// otherProviders names the hosts that check tokens in a way of their own.
func (c *Config) otherProviders() []string {
	var notes []string
	for _, h := range c.Hosts {
		provider := h.String("authentication", "")
		if h.Component == "" && strings.Contains(provider, "token") && !slices.Contains(tokenProviders, provider) {
			notes = append(notes, fmt.Sprintf("%s: authentication = %q is not imported; it stays as it is", h.Name, provider))
		}
	}
	return notes
}

func (c *Config) profileOf(h *Host, options Options) (*profile, error) {
	p := &profile{host: h, rooms: h}
	p.mucs = c.mucsOf(p)
	if h.String("app_id", "") == "" {
		return nil, fmt.Errorf("%s: app_id is not set, so Jitsi's module does not load there; set it to the iss of the tokens, and import again", h.Name)
	}
	if len(p.mucs) > 0 {
		p.rooms = c.parentOf(p.mucs[0], h)
	}
	var err error
	if p.keys, err = c.keysOf(h, options); err != nil {
		return nil, err
	}
	p.notes = append(p.notes, p.keys.notes...)
	if len(p.mucs) == 0 {
		p.note("no MUC of it loads token_verification, so a token for one room opens all; muc_usher in the modules_enabled of the MUC mends that")
	}
	p.noteMUCs(c)
	if _, ok := h.Lookup("asap_accepted_audiences"); !ok {
		p.note(`asap_accepted_audiences is not set, so tokens for any service are taken; write the aud of your tokens in place of "*" under audiences`)
	}
	return p, nil
}

func (p *profile) note(format string, a ...any) {
	p.notes = append(p.notes, p.host.Name+": "+fmt.Sprintf(format, a...))
}

// noteMUCs says where upstream's modules beside the check, or its own view of the MUC's name, need a decision.
func (p *profile) noteMUCs(c *Config) {
	for _, muc := range p.mucs {
		if hosts := c.tokenless(muc); len(hosts) > 0 && p.host == p.rooms && !p.verify() && !p.emptyToken() {
			p.note("users of %s came into the rooms of %s without a token (enable_domain_verification = false), and usher lets none of them in: list recorders and the like in usher_allowlist below that Component; for guests write usher_profile = %s there, and guests: allow in that profile", strings.Join(hosts, ", "), muc.Name, luaText(p.host.Name))
		}
		if want := p.prefix() + "." + p.domain(); muc.Name != want && p.verify() {
			p.note("%s is not %s (muc_mapper_domain_prefix, muc_mapper_domain_base), so the domain check denies its rooms unless a token's sub is \"*\", as it did", muc.Name, want)
		}
		if muc.Loads("token_no_wildcard") {
			p.note(`%s loads token_no_wildcard: rooms.wildcard and rooms.patterns are denied for it; keep the module until subjects names your domain and tenants in place of "*"`, muc.Name)
		}
	}
}

func (p *profile) prefix() string { return p.rooms.String("muc_mapper_domain_prefix", "conference") }
func (p *profile) domain() string { return p.rooms.String("muc_mapper_domain_base", p.rooms.Name) }
func (p *profile) verify() bool   { return p.rooms.Bool("enable_domain_verification", true) }

// emptyToken lets whoever has no token into the rooms, of whichever host; without it only where domains are not verified.
func (p *profile) emptyToken() bool { return p.rooms.Bool("allow_empty_token", false) }

func (p *profile) anyMUCLoads(module string) bool {
	return slices.ContainsFunc(p.mucs, func(muc *Host) bool { return muc.Loads(module) })
}

// tokenless lists the hosts whose users have no token to show to a MUC, and are not exempt there.
func (c *Config) tokenless(muc *Host) []string {
	exempt := append(muc.Strings("token_verification_allowlist"), muc.Strings("usher_allowlist")...)
	var names []string
	for _, h := range c.Hosts {
		if h.Component == "" && !slices.Contains(tokenProviders, h.String("authentication", "")) && !slices.Contains(exempt, h.Name) {
			names = append(names, h.Name)
		}
	}
	return names
}

// mucsOf lists the MUCs whose rooms the tokens of a host are for.
func (c *Config) mucsOf(p *profile) []*Host {
	var mucs []*Host
	for _, muc := range c.Hosts {
		if muc.Component != "muc" || !muc.Loads("token_verification") && !muc.Loads("muc_usher") {
			continue
		}
		own := strings.HasSuffix(muc.Name, "."+p.host.Name) || muc.Name == p.host.String("main_muc", "")
		if own || muc.Name == p.prefix()+"."+p.domain() || c.parentOf(muc, nil) == p.host {
			mucs = append(mucs, muc)
		}
	}
	return mucs
}

// parentHost is how mod_token_verification finds the host whose options it reads. A hyphen in the first label leads it
// to a host that is none: usher asks with the session's own host instead.
var parentHost = regexp.MustCompile(`[0-9A-Za-z]+.([0-9A-Za-z].+)`)

func (c *Config) parentOf(muc, otherwise *Host) *Host {
	if name := parentHost.FindStringSubmatch(muc.Name); name != nil {
		if h, ok := c.Host(name[1]); ok && h.Component == "" {
			return h
		}
	}
	return otherwise
}
