package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// programs makes a folder of shell scripts, to stand before the real ones in the PATH.
func programs(t *testing.T, scripts map[string]string) (path string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return "PATH=" + dir + ":" + os.Getenv("PATH")
}

func TestPackage_ScriptsDoWhatTheWayOfAMachineAsksFor(t *testing.T) {
	root := t.TempDir()
	path := programs(t, map[string]string{"systemctl": `echo "$@"`, "systemd-sysusers": "", "chown": ""})
	for _, dir := range []string{"run/systemd/system", "etc/usher", "var/lib/usher", "var/log/usher"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	rooted := strings.NewReplacer(" /run/", " "+root+"/run/", ">/run/", ">"+root+"/run/", " /etc/", " "+root+"/etc/", " /var/", " "+root+"/var/")
	run := func(calls ...string) (said string) {
		t.Helper()
		for _, call := range calls {
			name, args, _ := strings.Cut(call, " ")
			script := exec.Command("sh", append([]string{"-c", rooted.Replace(read(t, "deb/"+name+".sh")), name}, strings.Fields(args)...)...)
			script.Env = append(os.Environ(), path)
			out, err := script.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", call, err, out)
			}
			said += string(out)
		}
		return said
	}
	for _, step := range []struct{ what, want, not string }{
		{"install", "usher has no config yet", "restart"},
		{"upgrade", "try-restart usher.service", "enable"},
		{"remove", "disable --now usher.service", ""},
		{"install again", "enable usher.service\nrestart usher.service", "no config"},
		{"upgrade again", "try-restart usher.service", "enable"},
	} {
		said := ""
		switch strings.Fields(step.what)[0] {
		case "install": // dpkg names the last version also where the package was removed since
			last := strings.TrimPrefix(step.what, "install")
			said = run("preinst install"+last, "postinst configure"+last)
		case "upgrade":
			said = run("prerm upgrade 2", "preinst upgrade 1", "postrm upgrade 2", "postinst configure 1")
		case "remove":
			said = run("prerm remove", "postrm remove")
		}
		if !strings.Contains(said, step.want) || step.not != "" && strings.Contains(said, step.not) {
			t.Errorf("%s: it did %q", step.what, said)
		}
		if err := os.WriteFile(filepath.Join(root, "etc/usher/usher.yaml"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A config that the new version refuses takes down nobody who runs, and a unit that must not start fails no installation.
	path = programs(t, map[string]string{"systemctl": `echo "$@"; [ "$1" != reload ]`, "systemd-sysusers": "", "chown": ""})
	if said := run("preinst upgrade 1", "postinst configure 1"); !strings.Contains(said, "runs on as the old version") || strings.Contains(said, "restart usher.service") {
		t.Errorf("an upgrade to a version that refuses the config did %q", said)
	}
	path = programs(t, map[string]string{"systemctl": `case $1 in is-enabled) echo masked; exit 1 ;; enable) exit 1 ;; esac`, "systemd-sysusers": "", "chown": ""})
	if said := run("preinst install", "postinst configure"); !strings.Contains(said, "is masked") {
		t.Errorf("an installation beside a masked unit said %q", said)
	}
	path = programs(t, map[string]string{"systemctl": ""})

	run("prerm remove", "postrm remove")
	for _, dir := range []string{"var/lib/usher", "var/log/usher"} {
		if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
			t.Errorf("a removal took %s", dir)
		}
	}
	run("postrm purge")
	for _, dir := range []string{"var/lib/usher", "var/log/usher"} {
		if _, err := os.Stat(filepath.Join(root, dir)); err == nil {
			t.Errorf("a purge left %s, and who was where and when in it", dir)
		}
	}

	// A mount point: what is in it goes, itself it is busy.
	state := filepath.Join(root, "var/lib/usher")
	if err := os.MkdirAll(filepath.Join(state, "audit"), 0o700); err != nil {
		t.Fatal(err)
	}
	path = programs(t, map[string]string{"systemctl": "", "rm": `find "$2" -mindepth 1 -delete; exit 1`})
	run("postrm purge")
	if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
		t.Errorf("a purge left %v in a mount: %v", left, err)
	}
}

// Else the newer of two packages cannot be installed over the older one. What is told of a package is told of its version.
func TestPackage_VersionsSortAsTheirCommits(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		return // no Debian here, and nobody else can say what sorts
	}
	dir := t.TempDir()
	path := programs(t, map[string]string{"go": `case $1 in run) echo "VERSION=$VERSION" ;; env) pwd ;; esac`})
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		ours := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") }) // as a hook of git sets them
		cmd.Dir, cmd.Env = dir, append(ours, path, "GIT_CONFIG_GLOBAL=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte(read(t, "../Makefile")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"deploy", "CHANGELOG.md"} {
		there, err := filepath.Abs("../" + name)
		if err == nil {
			err = os.Symlink(there, filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	run("git", "init", "-q")
	last := "0"
	for i := range 8 {
		run("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "a")
		if i == 4 {
			run("git", "tag", "v0.1.0")
		}
		_, version, found := strings.Cut(run("make", "-s", "deb"), "VERSION=")
		if version = strings.TrimSpace(version); !found {
			t.Fatal("nothing was packed")
		}
		run("dpkg", "--compare-versions", last, "lt", version)
		last = version
		if said := run("zcat", "dist/doc/changelog.gz"); !strings.HasPrefix(said, "usher ("+version+") ") || !strings.Contains(said, "\n -- usher <") {
			t.Errorf("of %s the changelog says %q", version, said)
		}
	}
}

// As on a Debian without anything of usher's: what the page says is typed there, with a folder in the root's place.
func TestReadme_TheUnitAloneCanBeSetUpAsWritten(t *testing.T) {
	_, section, found := strings.Cut(read(t, "README.md"), "\n## systemd alone\n\n```sh\n")
	block, _, closed := strings.Cut(section, "```")
	if !found || !closed {
		t.Fatal("README.md does not say how to set the unit up alone")
	}
	root, sources := t.TempDir(), t.TempDir()
	for _, dir := range []string{"usr/bin", "usr/share", "etc/systemd/system"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"deploy", "lua"} {
		there, err := filepath.Abs("../" + dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(there, filepath.Join(sources, dir)); err != nil {
			t.Fatal(err)
		}
	}
	typed := strings.NewReplacer("sudo ", "", "-o root -g usher", "", " /etc/", " "+root+"/etc/", " /usr/", " "+root+"/usr/").Replace(block)
	sh := exec.Command("sh", "-ec", typed)
	sh.Dir = sources
	sh.Env = append(os.Environ(), programs(t, map[string]string{
		"make": "mkdir -p bin && : >bin/usher", "usher": "", "systemctl": "", "systemd-sysusers": "",
	}))
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"usr/bin/usher", "etc/systemd/system/usher.service", "etc/sysusers.d/usher.conf", "usr/share/usher/prosody/mod_auth_usher.lua"} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
}
