// Package verifier builds usher and runs `usher serve` on free loopback ports, with a data folder of its own, for
// end-to-end tests and the demo.
package verifier

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/usher-im/usher/internal/e2e/proc"
)

// Build compiles cmd/usher into dir and returns the binary's path.
func Build(ctx context.Context, dir string) (string, error) {
	repo, err := proc.RepoRoot()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "usher")
	args := append([]string{"build"}, raceFlag...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", binary, "./cmd/usher")...)
	cmd.Dir = repo
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build cmd/usher: %w\n%s", err, out)
	}
	return binary, nil
}

// Options say how to run a verifier.
type Options struct {
	Binary string
	// Dir takes config and data; the caller removes it.
	Dir string
	// Config is YAML for everything but listen, admin.listen and data_dir, which the harness writes.
	Config string
	Env    []string // beside the environment of the test
}

// Verifier is a running `usher serve`.
type Verifier struct {
	*proc.Process
	// URL is where the shim asks, AdminURL where CLI and API do.
	URL, AdminURL string
	// ConfigFile works for every command of the CLI: usher --config FILE …
	ConfigFile string
	// CredentialFile holds the admin credential that serve makes at its first start.
	CredentialFile string
	opt            Options
}

// Start returns when /readyz says yes.
func Start(ctx context.Context, opt Options) (*Verifier, error) {
	ports, err := proc.FreePorts(2)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(opt.Dir, "usher-data")
	v := &Verifier{
		URL:            fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
		AdminURL:       fmt.Sprintf("http://127.0.0.1:%d", ports[1]),
		ConfigFile:     filepath.Join(opt.Dir, "usher.yaml"),
		CredentialFile: filepath.Join(data, "local.credential"),
		opt:            opt,
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("listen: 127.0.0.1:%d\nadmin: {listen: \"127.0.0.1:%d\"}\ndata_dir: %s\n%s",
		ports[0], ports[1], data, opt.Config)
	if err := os.WriteFile(v.ConfigFile, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return v, v.Restart(ctx)
}

// Restart starts the verifier again on the ports and data that it had; it must have ended before.
func (v *Verifier) Restart(ctx context.Context) error {
	cmd := exec.Command(v.opt.Binary, "serve", "--config", v.ConfigFile)
	cmd.Env = append(os.Environ(), v.opt.Env...)
	cmd.Dir = v.opt.Dir
	process, err := proc.Start("usher", cmd)
	if err != nil {
		return err
	}
	v.Process = process
	if err := v.ready(ctx); err != nil {
		_ = v.Stop()
		return err
	}
	return nil
}

// Command is the CLI with this verifier's config: Command("revoke", "--jti", "…").
func (v *Verifier) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(v.opt.Binary, append(args, "--config", v.ConfigFile)...)
	cmd.Env = append(os.Environ(), v.opt.Env...)
	return cmd
}

// Stop asks the verifier to drain and waits for its end. It gives itself 10 s to bring events to a store that is away.
func (v *Verifier) Stop() error { return v.Process.Stop(20 * time.Second) }

func (v *Verifier) ready(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last := "no answer yet"
	for {
		select {
		case <-v.Done():
			return fmt.Errorf("usher serve ended with exit code %d before it was ready:\n%s", v.ExitCode(), v.Log.Tail(20))
		case <-ctx.Done():
			return fmt.Errorf("usher serve did not become ready: %s\n%s", last, v.Log.Tail(20))
		case <-tick.C:
		}
		answer, err := http.Get(v.URL + "/readyz")
		if err != nil {
			last = err.Error()
			continue
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return nil
		}
		last = answer.Status
	}
}
