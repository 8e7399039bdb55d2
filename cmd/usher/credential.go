package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/credential"
)

type credentialCmd struct {
	Create credentialCreateCmd `cmd:"" help:"Make a credential. Its secret is printed once and kept nowhere."`
	List   credentialListCmd   `cmd:"" help:"List the credentials."`
	Delete credentialDeleteCmd `cmd:"" help:"Take a credential away; a running node refuses it within a second."`
}

type credentialCreateCmd struct {
	Role string `required:"" help:"verify, audit, revoke or admin." placeholder:"ROLE"`
	Name string `required:"" help:"Who it is for, as audit rows will show it." placeholder:"NAME"`
}

func (cmd *credentialCreateCmd) Run(ctx context.Context, c *commands, io streams) error {
	role, err := credential.ParseRole(cmd.Role)
	if err = cmp.Or(err, credential.CheckName(cmd.Name)); err != nil {
		return &failure{exitUsage, err}
	}
	actor := localUser() // before credentials makes this the work of another
	f, cfg, err := c.credentials(io)
	if err != nil {
		return err
	}
	secret, err := f.Create(cmd.Name, role, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(io.err, "The secret of %s (role %s) follows; it is shown this once. Keep it in a file of mode 0600.\n", cmd.Name, role)
	_, err = fmt.Fprintln(io.out, secret)
	recordCredential(ctx, cfg, credentialEvent(credential.Credential{Name: cmd.Name, Role: role}, true, actor), io)
	return err
}

type credentialListCmd struct {
	JSON bool `help:"As JSON, one object per line."`
}

func (cmd *credentialListCmd) Run(_ context.Context, c *commands, io streams) error {
	f, _, err := c.credentials(io)
	if err != nil {
		return err
	}
	all := f.List()
	if cmd.JSON {
		return printLines(io.out, all)
	}
	w := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tROLE\tCREATED")
	for _, one := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", one.Name, one.Role, one.CreatedAt.Format(time.RFC3339))
	}
	return w.Flush()
}

type credentialDeleteCmd struct {
	Name string `arg:"" help:"The credential's name."`
}

func (cmd *credentialDeleteCmd) Run(ctx context.Context, c *commands, io streams) error {
	actor := localUser() // before credentials makes this the work of another
	f, cfg, err := c.credentials(io)
	if err != nil {
		return err
	}
	known := f.List()
	if err := f.Delete(cmd.Name); err != nil {
		return err
	}
	fmt.Fprintf(io.err, "%s is deleted.\n", cmd.Name)
	for _, one := range known {
		if one.Name == cmd.Name {
			recordCredential(ctx, cfg, credentialEvent(one, false, actor), io)
		}
	}
	return nil
}

func (c *commands) credentials(io streams) (*credential.File, *config.Config, error) {
	cfg, err := c.load(io)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(makeDataDir(cfg), asOwner(cfg.DataDir)); err != nil {
		return nil, nil, err
	}
	f, err := credential.Open(cfg.DataDir)
	return f, cfg, err
}

// recordCredential keeps in the audit what was done here; a node beside an embedded store does it itself. What cannot be
// recorded is done all the same: a fleet is set up before its Redis answers.
func recordCredential(ctx context.Context, cfg *config.Config, e audit.Event, s streams) {
	redis, err := connect(cfg)
	if err == nil {
		if redis != nil {
			defer redis.Close()
		}
		var journal *ownJournal
		if journal, err = openOwnJournal(ctx, cfg, redis, s); err == nil {
			journal.record(e)
		}
		journal.close()
	}
	if err != nil {
		fmt.Fprintln(s.err, "warning: this is not in the audit:", err)
	}
}

func credentialEvent(c credential.Credential, made bool, actor string) audit.Event {
	now, outcome := time.Now(), "deleted"
	if made {
		outcome = "made"
	}
	return audit.Event{
		Time: now, ID: audit.NewID(now), Kind: audit.Admin, Actor: actor, Outcome: outcome,
		Detail: fmt.Sprintf("credential %s of role %s was %s", c.Name, c.Role, outcome),
	}
}
