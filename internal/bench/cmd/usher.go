package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/verifier"
)

// buildUsher builds the real binary as a release is built, once.
func (r *run) buildUsher() error {
	if r.usher != "" {
		return nil
	}
	root, err := proc.RepoRoot()
	if err != nil {
		return err
	}
	binary := filepath.Join(r.dir, "usher-binary")
	cmd := r.command(root, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./cmd/usher")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build usher: %w", err)
	}
	r.usher = binary
	return nil
}

// startUsher starts the real binary with the fixture's profile; more is further YAML at top level.
func (r *run) startUsher(more string) (*verifier.Verifier, error) {
	dir, err := r.folder("usher")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	return verifier.Start(ctx, verifier.Options{Binary: r.usher, Dir: dir, Config: more + "\n" + fixture.Profile(r.dir, "")})
}
