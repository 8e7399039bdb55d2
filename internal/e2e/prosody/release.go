package prosody

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/usher-im/usher/internal/e2e/proc"
)

// Release is one installed Prosody.
type Release struct {
	// Name is what the tests call it, "0.12" or "13": its version's leading numbers.
	Name string
	// Root is the folder under which its package was unpacked: "/" for the system's own.
	Root string
}

// System is the Prosody that apt installed.
func System() (Release, error) { return open("/") }

// Releases are the system's own Prosody and the newer one that .ci/setup unpacked beside it.
func Releases() ([]Release, error) {
	repo, err := proc.RepoRoot()
	if err != nil {
		return nil, err
	}
	var all []Release
	for _, root := range []string{"/", filepath.Join(repo, ".cache", "prosody-13")} {
		r, err := open(root)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func open(root string) (Release, error) {
	r := Release{Root: root}
	b, err := os.ReadFile(filepath.Join(r.source(), "prosody.version"))
	if err != nil {
		return r, fmt.Errorf("no Prosody under %s (%w): run .ci/setup first", root, err)
	}
	version := strings.Split(strings.TrimSpace(string(b)), ".")
	r.Name = version[0]
	if r.Name == "0" && len(version) > 1 {
		r.Name = "0." + version[1]
	}
	return r, nil
}

func (r Release) source() string { return filepath.Join(r.Root, "usr/lib/prosody") }

// command writes a copy of Prosody's start script that uses this release's own files and the given folder for
// everything else: a packaged script has its paths fixed, so that two versions cannot share a machine. It names the
// script's interpreter, since Linux refuses to execute a file itself while any process still has it open to write,
// and another test's child may have inherited that.
func (r Release) command(dir string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(r.Root, "usr/bin/prosody"))
	if err != nil {
		return nil, fmt.Errorf("read Prosody's start script: %w", err)
	}
	lines := strings.Split(string(b), "\n")
	for i, line := range lines {
		for name, path := range map[string]string{
			"CFG_SOURCEDIR": r.source(),
			"CFG_CONFIGDIR": dir,
			"CFG_PLUGINDIR": filepath.Join(r.source(), "modules") + "/",
			"CFG_DATADIR":   filepath.Join(dir, "data"),
		} {
			if strings.HasPrefix(line, name+"=") {
				lines[i] = fmt.Sprintf("%s=%q;", name, path)
			}
		}
	}
	script := filepath.Join(dir, "prosody")
	interpreter := strings.Fields(strings.TrimPrefix(lines[0], "#!"))
	return append(interpreter, script), os.WriteFile(script, []byte(strings.Join(lines, "\n")), 0o644)
}
