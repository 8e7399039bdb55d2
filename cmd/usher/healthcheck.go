package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

type healthcheckCmd struct{}

// Run asks /readyz on the verify listener that the config names.
func (*healthcheckCmd) Run(ctx context.Context, c *commands, s streams) error {
	cfg, err := c.load(streams{in: s.in, out: s.out, err: io.Discard})
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, lacks, err := askReady(within, "http://"+reachable(cfg.Listen))
	var waits unready
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("interrupted before the verifier at %s had answered", cfg.Listen)
	case errors.As(err, &waits):
		return fmt.Errorf("the verifier at %s is not ready: %w", cfg.Listen, err)
	case err != nil:
		return fmt.Errorf("the verifier at %s does not answer (%w): is `usher serve` running?", cfg.Listen, err)
	case lacks != "":
		fmt.Fprintln(s.err, "ready, but", lacks)
	default:
		fmt.Fprintln(s.err, "ready")
	}
	return nil
}

// reachable turns an address to listen on into one to call: a wildcard listens on loopback too.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
