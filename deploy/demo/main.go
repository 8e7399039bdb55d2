// Command demo shows usher's main job on real servers: a verifier and a Prosody on free loopback ports, a token, a join
// that it opens and one that it does not, and what becomes of its bearer when it is revoked. Run it by `make demo`;
// with --keep it leaves both running to play with.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/e2e/verifier"
)

const (
	domain = "meet.example.com"
	// dir stays after the demo, so that the lines to try at its end work.
	dir = ".cache/demo"
)

const config = `profiles:
  default:
    domain: ` + domain + `
    guests: deny
    rooms: {create: allow}        # plain Prosody; with Jitsi the focus opens rooms, and this stays at deny
    issuers:
      - iss: demo
        keys: [{secret_file: app.secret}]
        audiences: [jitsi]
`

func main() {
	keep := flag.Bool("keep", false, "leave Prosody and usher running until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := play(ctx, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func play(ctx context.Context, keep bool) (err error) {
	repo, err := proc.RepoRoot()
	if err != nil {
		return err
	}
	if err := os.Chdir(repo); err != nil {
		return err
	}
	usher, err := startVerifier(ctx, repo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, usher.Stop()) }()
	server, err := startProsody(ctx, repo, usher.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := tell(ctx, usher, server); err != nil {
		return err
	}
	if keep {
		fmt.Printf("\nBoth keep running. Ctrl-C ends them.\n")
		<-ctx.Done()
	}
	return nil
}

func startVerifier(ctx context.Context, repo string) (*verifier.Verifier, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	secret := []byte(rand.Text() + rand.Text() + "\n")
	if err := os.WriteFile(filepath.Join(dir, "app.secret"), secret, 0o600); err != nil {
		return nil, err
	}
	return verifier.Start(ctx, verifier.Options{
		Binary: filepath.Join(repo, "bin/usher"),
		Dir:    filepath.Join(repo, dir),
		Config: config,
	})
}

func startProsody(ctx context.Context, repo, verifierURL string) (*prosody.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	release, err := prosody.System()
	if err != nil {
		return nil, err
	}
	return prosody.Start(ctx, prosody.Options{
		Release:        release,
		Dir:            filepath.Join(repo, dir),
		Domain:         domain,
		Authentication: "usher",
		LogLevel:       "info",
		PluginPaths:    []string{filepath.Join(repo, "lua")},
		MUCModules:     []string{"muc_usher"},
		Global:         fmt.Sprintf("usher_url = %q", verifierURL),
	})
}
