package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/usher-im/usher/internal/prosodyconf"
)

type configImportCmd struct {
	File          string `arg:"" help:"Prosody's main config, which includes the others." placeholder:"FILE" type:"path"`
	Out           string `short:"o" help:"Write the config here instead of to stdout; its secrets go beside it." placeholder:"FILE" type:"path"`
	InlineSecrets bool   `help:"Write secrets into the config instead of files beside it."`
}

// Run writes the config to stdout or --out, secrets into files of their own, and says on stderr what is left to do.
func (cmd *configImportCmd) Run(_ context.Context, _ *commands, s streams) error {
	result, err := prosodyconf.Import(cmd.File, prosodyconf.Options{LookupEnv: os.LookupEnv, InlineSecrets: cmd.InlineSecrets})
	if err != nil {
		return &failure{exitUsage, err}
	}
	folder := filepath.Dir(cmd.Out) // "." without --out
	for _, secret := range result.Secrets {
		path := filepath.Join(folder, secret.Name)
		if err := keepOrWrite(path, string(secret.Content)); err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.err, "wrote the secret %s (mode %04o); it belongs beside the usher.yaml that names it\n", path, info.Mode().Perm())
	}
	if err := cmd.write(s, result.YAML); err != nil {
		return err
	}
	for _, note := range result.Notes {
		fmt.Fprintln(s.err, "note:", note)
	}
	fmt.Fprint(s.err, "\n", result.Prosody)
	return nil
}

func (cmd *configImportCmd) write(s streams, yaml string) error {
	if cmd.Out == "" {
		_, err := fmt.Fprint(s.out, yaml)
		return err
	}
	if err := keepOrWrite(cmd.Out, yaml); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "wrote %s\n", cmd.Out)
	return nil
}

// keepOrWrite overwrites no file; the same content there already is fine.
func keepOrWrite(path, text string) error {
	switch err := writeNew(path, text); {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("nothing can be written there (%w): name another place with --out", err)
	}
	if there, err := os.ReadFile(path); err == nil && string(there) == text {
		return nil
	}
	return usage("%s exists and says something else; move it away, or name another place with --out", path)
}
