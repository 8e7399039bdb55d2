package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/prosodyconf"
	"github.com/usher-im/usher/internal/wire"
)

// Where Prosody itself looks for modules, beside plugin_paths.
var prosodyFolders = []string{"/usr/lib/prosody/modules", "/usr/local/lib/prosody/modules", "/var/lib/prosody/custom_plugins"}

// prosody sees whether Prosody's config asks this verifier, at login and at each join.
func (d *doctor) prosody(ctx context.Context) {
	if d.cmd.Prosody == "" {
		d.found("prosody", omitted, "name its config: `usher doctor --prosody /etc/prosody/prosody.cfg.lua`", "not looked at")
		return
	}
	conf, err := prosodyconf.Evaluate(d.cmd.Prosody, os.LookupEnv)
	if err != nil {
		d.found("prosody", ill, "", "%v", err)
		return
	}
	hosts := 0
	for _, h := range conf.Hosts {
		if h.Component == "" && h.String("authentication", "") == "usher" {
			hosts++
			d.host(ctx, conf, h)
		}
	}
	if hosts == 0 {
		d.found("prosody", ill, `write authentication = "usher" below the VirtualHost whose users have tokens`, "%s: no host asks usher who may log in", d.cmd.Prosody)
		return
	}
	d.modules(conf)
}

// host sees to one VirtualHost: that a profile is there for it, that it can ask, and that its rooms do.
func (d *doctor) host(ctx context.Context, conf *prosodyconf.Config, h *prosodyconf.Host) {
	before := len(d.findings)
	profile := d.profileOf(h)
	d.asks(ctx, h)
	if d.cfg.Verify.CredentialRequired {
		d.credential(h)
	}
	d.rooms(conf, h, profile)
	if len(d.findings) == before {
		d.found("prosody", well, "", "%s: host %s asks at login and at each join, by profile %s", h.Where, h.Name, profile.Name)
	}
}

func (d *doctor) profileOf(h *prosodyconf.Host) *config.Profile {
	name := h.String("usher_profile", "")
	if name == "" {
		name = "default"
		if d.cfg.Profiles[h.Name] != nil {
			name = h.Name
		}
	}
	if p := d.cfg.Profiles[strings.ToLower(name)]; p != nil {
		return p
	}
	d.found("prosody", ill, "add it under profiles, or correct usher_profile", "%s: host %s is judged by profile %s, and the config has none of that name: every login is denied", h.Where, h.Name, name)
	return nil
}

// asks calls each address that the host would call.
func (d *doctor) asks(ctx context.Context, h *prosodyconf.Host) {
	for _, url := range h.Strings("usher_url", "http://127.0.0.1:9160") {
		contract, _, err := askReady(ctx, strings.TrimRight(url, "/"))
		var waits unready
		remedy, ours := "start it: `usher serve`", "http://"+reachable(d.cfg.Listen)
		if byAddress(url) != byAddress(ours) {
			remedy = "set usher_url to where the verifier listens: " + ours
		}
		switch {
		case errors.As(err, &waits):
			d.found("prosody", ill, "", "%s: host %s asks %s, which does not answer its questions: %v", h.Where, h.Name, url, err)
		case err != nil:
			d.found("prosody", ill, remedy, "%s: host %s asks %s, where no verifier answers: %v", h.Where, h.Name, url, err)
		case contract != wire.Version:
			d.found("prosody", ill, "install modules and verifier of one version", "%s: host %s asks %s, which speaks contract %d, not %d", h.Where, h.Name, url, contract, wire.Version)
		}
	}
}

// byAddress writes a URL of this machine as the one that means the same.
func byAddress(url string) string {
	return strings.Replace(strings.TrimRight(strings.ToLower(url), "/"), "//localhost:", "//127.0.0.1:", 1)
}

func (d *doctor) credential(h *prosodyconf.Host) {
	file := h.String("usher_credential_file", "")
	if file == "" {
		d.found("prosody", ill, "make one with `usher credential create --role verify --name prosody`, and name its file as usher_credential_file", "%s: the verifier wants a credential, and host %s has none", h.Where, h.Name)
		return
	}
	if text, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(text)) == "" {
		d.found("prosody", ill, "write the credential into it, for Prosody's user to read", "%s: usher_credential_file of host %s cannot be read or is empty", h.Where, h.Name)
	}
}

// rooms sees that a MUC which the host's users can join asks too. A room that does not ask is open to whoever is in.
func (d *doctor) rooms(conf *prosodyconf.Config, h *prosodyconf.Host, p *config.Profile) {
	var mucs []*prosodyconf.Host
	for _, m := range conf.Hosts {
		if m.Component == "muc" && m.Loads("muc_usher") {
			mucs = append(mucs, m)
		}
		if m.Component == "muc" && m.Loads("muc_usher") && m.Loads("token_verification") {
			d.found("prosody", doubt, "take token_verification out of its modules_enabled", "%s: %s also loads Jitsi's token_verification, which judges each join by its own options", m.Where, m.Name)
		}
		if m.Component == "muc" && m.Loads("muc_usher") && m.Loads("muc_mam") {
			d.found("prosody", doubt, "take muc_mam out of its modules_enabled, unless what is said there is for everybody", "%s: %s loads muc_mam, which gives a room's archive to whoever asks from outside, whatever room their token opens", m.Where, m.Name)
		}
	}
	if len(mucs) == 0 {
		d.found("prosody", ill, `write modules_enabled = { "muc_usher" } below the Component whose rooms tokens open`, "%s: no MUC loads muc_usher, so who has logged in to %s enters every room", h.Where, h.Name)
		return
	}
	if p == nil {
		return
	}
	for _, m := range mucs {
		if p.Rooms.Create == config.Allow && m.Bool("muc_room_locking", true) {
			d.found("prosody", doubt, "write muc_room_locking = false below that Component", "%s: profile %s lets a token open its room, and %s keeps a new room locked until its first occupant configures it: whoever comes second waits", m.Where, p.Name, m.Name)
		}
	}
	if !p.Rooms.VerifyDomain {
		return
	}
	wanted := p.MUCPrefix + "." + strings.ToLower(cmp.Or(p.Domain, h.Name))
	if !slices.ContainsFunc(mucs, func(m *prosodyconf.Host) bool { return m.Name == wanted }) {
		d.found("prosody", doubt, "set domain and muc_prefix of profile "+p.Name+" to what the MUC is called, or rooms.verify_domain: false", "%s: by profile %s the rooms of %s are at %s, and no MUC that asks usher has that name: joins end in tenant_mismatch", h.Where, p.Name, h.Name, wanted)
	}
}

// modules sees that Prosody finds its side.
func (d *doctor) modules(conf *prosodyconf.Config) {
	global := prosodyconf.Host{Options: conf.Global}
	folders := slices.Clone(prosodyFolders)
	for _, folder := range global.Strings("plugin_paths") {
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(filepath.Dir(d.cmd.Prosody), folder)
		}
		folders = append([]string{folder}, folders...)
	}
	for _, name := range []string{"mod_auth_usher.lua", "mod_muc_usher.lua", "usher.lib.lua"} {
		found := slices.ContainsFunc(folders, func(folder string) bool {
			_, err := os.Stat(filepath.Join(folder, name))
			return err == nil
		})
		if !found {
			d.found("prosody", ill, "add the folder of usher's modules to plugin_paths: /usr/share/usher/prosody, or lua/ of the sources", "%s is in none of %s", name, strings.Join(folders, ", "))
			return
		}
	}
	d.found("prosody", well, "", "its modules are where Prosody looks")
}
