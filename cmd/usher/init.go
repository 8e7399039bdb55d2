package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/usher-im/usher/internal/config"
)

type initCmd struct {
	Domain string `help:"The Prosody host that users log in to. Else the config takes the host that asks." placeholder:"HOST"`
	Issuer string `default:"my-app" help:"The tokens' iss (${default})."`
	Aud    string `default:"jitsi" help:"The tokens' aud (${default})."`
	Jitsi  bool   `help:"For Jitsi, where the focus opens rooms. Else a token opens its room itself, as plain Prosody needs."`
}

// firstConfig is short on purpose: a reader sees what is theirs. `usher config example` shows all the rest.
const firstConfig = `# usher's first config, written by ` + "`usher init`" + `. What is left out has a default: see docs/configuration.md, or
# every key with its meaning in ` + "`usher config example`" + `. ` + "`usher config check`" + ` tells what is wrong with this file.
%s
profiles:
  default:
    %s
    rooms:
      %s
    issuers:
      - iss: %q
        keys:
          - secret_file: app.secret # whoever has it can write tokens for every room
        audiences: [%q]
`

const prosodyLines = `-- For Prosody's config. plugin_paths is where usher's modules are: mod_auth_usher.lua and the files beside it.
plugin_paths = { "/usr/share/usher/prosody" }
%[2]s
VirtualHost "%[1]s"
    authentication = "usher"

Component "conference.%[1]s" "muc"
    modules_enabled = { "muc_usher" }
`

// secureLines: a login without TLS is offered to nobody, and the proxy's connection has none. Jitsi's own config has them.
const secureLines = `-- Behind a proxy that speaks TLS uncomment these two, else Prosody offers browsers no login (<encryption-required/>):
-- consider_websocket_secure = true
-- consider_bosh_secure = true
`

// lockingLine: only an owner unlocks a new room, by configuring it. Where tokens open rooms nobody need be one.
const lockingLine = `    muc_room_locking = false -- else a new room stays locked for others until somebody configures it
`

// serviceFolder is where the service has its config.
const serviceFolder = "/etc/usher"

// text is the config that goes into folder. The service's own folder needs no data_dir: the default is made for it.
func (cmd *initCmd) text(folder string) string {
	dataDir := "\n# Revocations and audit. As a service: /var/lib/usher, which is the default.\ndata_dir: usher-data\n"
	if folder == serviceFolder {
		dataDir = ""
	}
	domain := "# domain: meet.example.com # what a token's sub must say; left out, the Prosody host that asks"
	if cmd.Domain != "" {
		domain = fmt.Sprintf("domain: %q # what a token's sub must say", cmd.Domain)
	}
	create := "create: allow # a token opens its room. In Jitsi the focus does, so there: deny"
	if cmd.Jitsi {
		create = "create: deny # the focus opens rooms. On plain Prosody: allow"
	}
	return fmt.Sprintf(firstConfig, dataDir, domain, create, cmd.Issuer, cmd.Aud)
}

// Run writes a config and a secret of its own, and gives the lines for Prosody. What is there already stays.
func (cmd *initCmd) Run(_ context.Context, c *commands, s streams) error {
	path := cmp.Or(c.Config, "usher.yaml")
	folder := filepath.Dir(path)
	host := cmp.Or(cmd.Domain, "meet.example.com")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("the folder for the config cannot be made (%w): name another place with --config, or make it", err)
	}
	if err := writeNew(path, cmd.text(folder)); errors.Is(err, fs.ErrExist) {
		return usage("%s is there already and stays as it is: name another with --config, or move it away", path)
	} else if err != nil {
		return fmt.Errorf("the config cannot be written (%w): name a place with --config where this user may write", err)
	}
	secret := filepath.Join(folder, "app.secret")
	err := writeNew(secret, config.NewSecret()+"\n")
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the secret cannot be written (%w): it belongs beside the config, so name a place for both with --config", err)
	}
	kept := err != nil
	// What was written is judged by the same rules as what others write. Where it is wrong nothing stays, so that init can
	// be run again.
	if _, err := (&commands{Config: path}).load(s); err != nil {
		_ = os.Remove(path)
		if !kept {
			_ = os.Remove(secret)
		}
		return err
	}
	return cmd.say(s, c.reach, path, secret, host, kept)
}

// writeNew never replaces a file. A folder with the set-group-id bit hands its group to what is in it: that is how
// root writes a config that the service's user may read, and then the group may.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if info, statErr := os.Stat(filepath.Dir(path)); err == nil && statErr == nil && info.Mode()&os.ModeSetgid != 0 {
		err = f.Chmod(0o640)
	}
	return errors.Join(err, f.Close())
}

func (cmd *initCmd) say(s streams, r reach, path, secret, host string, kept bool) error {
	made := "a new secret, which your application signs tokens with"
	if kept {
		made = "was there already and is used"
	}
	start := r.further("usher serve")
	if filepath.Dir(path) == serviceFolder { // typed by root, usher serve would run as root
		start = "systemctl enable --now usher    # where there is no systemd: " + start
	}
	fmt.Fprintf(s.err, "%s: the config\n%s: %s\n\n", path, secret, made)
	fmt.Fprintf(s.err, "Next: write these lines into Prosody's config, then\n")
	fmt.Fprintf(s.err, "  %s\n", start)
	fmt.Fprintf(s.err, "  usher token mint --key %s --iss %s --aud %s --sub %s --room demo --user me\n", shellWord(secret), shellWord(cmd.Issuer), shellWord(cmd.Aud), shellWord(host))
	fmt.Fprintf(s.err, "  %s\n\n", r.further("usher doctor --prosody /etc/prosody/prosody.cfg.lua"))
	lines := fmt.Sprintf(prosodyLines, host, "")
	if !cmd.Jitsi {
		lines = fmt.Sprintf(prosodyLines, host, secureLines) + lockingLine
	}
	_, err := io.WriteString(s.out, lines)
	return err
}
