package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

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

func (cmd *credentialCreateCmd) Run(_ context.Context, c *commands, io streams) error {
	role, err := credential.ParseRole(cmd.Role)
	if err != nil {
		return &failure{exitUsage, err}
	}
	f, err := c.credentials(io)
	if err != nil {
		return err
	}
	secret, err := f.Create(cmd.Name, role, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(io.err, "The secret of %s (role %s) follows; it is shown this once. Keep it in a file of mode 0600.\n", cmd.Name, role)
	_, err = fmt.Fprintln(io.out, secret)
	return err
}

type credentialListCmd struct {
	JSON bool `help:"As JSON, one object per line."`
}

func (cmd *credentialListCmd) Run(_ context.Context, c *commands, io streams) error {
	f, err := c.credentials(io)
	if err != nil {
		return err
	}
	all := f.List()
	if cmd.JSON {
		enc := json.NewEncoder(io.out)
		for _, one := range all {
			if err := enc.Encode(one); err != nil {
				return err
			}
		}
		return nil
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

func (cmd *credentialDeleteCmd) Run(_ context.Context, c *commands, io streams) error {
	f, err := c.credentials(io)
	if err != nil {
		return err
	}
	if err := f.Delete(cmd.Name); err != nil {
		return err
	}
	fmt.Fprintf(io.err, "%s is deleted.\n", cmd.Name)
	return nil
}

func (c *commands) credentials(io streams) (*credential.File, error) {
	cfg, err := c.load(io)
	if err != nil {
		return nil, err
	}
	if err := makeDataDir(cfg); err != nil {
		return nil, err
	}
	if err := asOwner(cfg.DataDir); err != nil {
		return nil, err
	}
	return credential.Open(cfg.DataDir)
}
