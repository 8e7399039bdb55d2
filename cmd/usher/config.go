package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/usher-im/usher/internal/config"
)

type configCmd struct {
	Check   configCheckCmd   `cmd:"" help:"Validate the config: every mistake, each in one sentence."`
	Example configExampleCmd `cmd:"" help:"Print the commented example, which runs as it is."`
	Import  configImportCmd  `cmd:"" help:"Turn the config of Prosody and Jitsi's token modules into usher's."`
}

type configCheckCmd struct{}

// Run also opens the keys and what leads to Redis, as serve would, which is not asked: a config whose files cannot be used is
// no good config.
func (*configCheckCmd) Run(_ context.Context, c *commands, io streams) error {
	cfg, err := c.load(io)
	if err != nil {
		return err
	}
	rules, err := openRules(cfg, nil, nil, nil)
	if err != nil {
		return err
	}
	rules.close()
	redis, err := connect(cfg)
	if err != nil {
		return err
	}
	if redis != nil {
		defer redis.Close()
	}
	for _, fault := range faultsOfOwner(cfg) {
		fmt.Fprintln(io.err, "warning:", c.reach.hint(fault))
	}
	fmt.Fprintf(io.err, "%s is a good config: %s\n", cmp.Or(cfg.Path, "the environment"), summary(cfg))
	return nil
}

func summary(cfg *config.Config) string {
	issuers := 0
	for _, p := range cfg.Profiles {
		issuers += len(p.Issuers)
	}
	store := "embedded store in " + cfg.DataDir
	if cfg.Redis != nil {
		store = "Redis"
	}
	return fmt.Sprintf("%d profile(s), %d issuer(s), %s.", len(cfg.Profiles), issuers, store)
}

type configExampleCmd struct{}

func (*configExampleCmd) Run(_ context.Context, _ *commands, s streams) error {
	_, err := io.WriteString(s.out, config.Example())
	return err
}
