package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
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
	req, err := http.NewRequestWithContext(within, http.MethodGet, "http://"+reachable(cfg.Listen)+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: direct()}).Do(req)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted before the verifier at %s had answered", cfg.Listen)
	}
	if err != nil {
		return fmt.Errorf("the verifier at %s does not answer (%w): is `usher serve` running?", cfg.Listen, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the verifier at %s is not ready (status %d): its log says what it waits for", cfg.Listen, resp.StatusCode)
	}
	fmt.Fprintln(s.err, "ready")
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
