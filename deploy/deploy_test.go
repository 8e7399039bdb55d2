// Package deploy holds no code: these tests see that what is deployed fits what is built.
package deploy

import (
	"cmp"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/prosodyconf"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func decode[T any](t *testing.T, name string) T {
	t.Helper()
	var v T
	if err := yaml.Unmarshal([]byte(read(t, name)), &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

func TestYAML_CanBeRead(t *testing.T) {
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(name); err == nil && (ext == ".yaml" || ext == ".yml") {
			decode[any](t, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A tag that moves makes tomorrow's deployment another than today's.
func TestImages_ArePinnedByTag(t *testing.T) {
	image := regexp.MustCompile(`(?m)^(?:FROM (?:--\S+ )?|\s*image: )(\S+)`)
	for _, name := range []string{"../Dockerfile", "compose/usher.yml", "kubernetes/sidecar.yaml"} {
		found := image.FindAllStringSubmatch(read(t, name), -1)
		if len(found) == 0 {
			t.Errorf("%s names no image", name)
		}
		for _, m := range found {
			if tag := m[1][strings.LastIndex(m[1], "/")+1:]; !strings.Contains(tag, ":") || strings.HasSuffix(tag, ":latest") {
				t.Errorf("%s: %s has no tag that stays", name, m[1])
			}
		}
	}
}

func TestDockerfile_CopiesWhatIsThere(t *testing.T) {
	text := read(t, "../Dockerfile")
	ignored := read(t, "../.dockerignore")
	for _, m := range regexp.MustCompile(`(?m)^COPY (?:--chown=\S+ )?([^-].*) \S+$`).FindAllStringSubmatch(text, -1) {
		for _, source := range strings.Fields(m[1]) {
			if found, err := filepath.Glob("../" + source); err != nil || len(found) == 0 {
				t.Errorf("COPY %s: there is no such file", source)
			}
			if top, _, _ := strings.Cut(source, "/"); !strings.Contains(ignored, "\n!"+top+"\n") {
				t.Errorf(".dockerignore keeps %s from the builder", top)
			}
		}
	}
	for what, pattern := range map[string]string{
		"is static":             `CGO_ENABLED=0`,
		"does not run as root":  `(?m)^USER 65532`,
		"has a health check":    `(?m)^HEALTHCHECK .*"/usr/bin/usher", "healthcheck"`,
		"embeds what Go embeds": `COPY internal ./internal`,
	} {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("not so: it %s", what)
		}
	}
}

// The config names its secrets as files beside it, and both are their owner's alone: the container's own user.
func TestReadme_GivesTheImageAFolderOfItsOwn(t *testing.T) {
	readme := read(t, "README.md")
	mount := regexp.MustCompile(`-v (\./\S+?):(/etc/usher\S*?)(?::ro)? `)
	mounts := mount.FindAllStringSubmatch(readme, -1)
	if len(mounts) == 0 {
		t.Fatal("README.md mounts no config")
	}
	user := regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`).FindStringSubmatch(read(t, "../Dockerfile"))
	for _, m := range mounts {
		made := "-o " + user[1] + " -g " + user[2] + " " + strings.TrimPrefix(m[1], "./")
		if m[2] != "/etc/usher" || !strings.Contains(readme, made) {
			t.Errorf("%s is mounted at %s, and is no folder that was made with %q", m[1], m[2], made)
		}
	}
}

// Files are embedded when the binary is built, so they must reach the builder.
func TestDockerfile_EmbeddedFilesReachTheBuilder(t *testing.T) {
	ignored := read(t, "../.dockerignore")
	embed := regexp.MustCompile(`(?m)^//go:embed (.+)$`)
	err := filepath.WalkDir("../internal", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		for _, m := range embed.FindAllStringSubmatch(read(t, name), -1) {
			folder := strings.TrimPrefix(filepath.Join(filepath.Dir(name), "testdata"), "../")
			if strings.Contains(m[1], "testdata") && !strings.Contains(ignored, "\n!"+folder) {
				t.Errorf("%s embeds %s, and .dockerignore keeps it from the builder", name, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPackage_HoldsWhatIsThere(t *testing.T) {
	pkg := decode[struct {
		Contents []struct{ Src, Dst string }
		Scripts  map[string]string
	}](t, "nfpm.yaml")
	for _, c := range pkg.Contents {
		if c.Src == "" || c.Src == "bin/usher" { // a folder; what make build makes
			continue
		}
		if strings.HasPrefix(c.Src, "dist/") {
			if !strings.Contains(read(t, "deb/doc.sh"), ">"+c.Src) {
				t.Errorf("%s: nobody makes it", c.Src)
			}
			continue
		}
		if found, err := filepath.Glob("../" + c.Src); err != nil || len(found) == 0 {
			t.Errorf("%s: there is no such file", c.Src)
		}
	}
	for when, script := range pkg.Scripts {
		if out, err := exec.Command("sh", "-n", "../"+script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", when, err, out)
		}
	}
}

// One look-up of a method by a name that the linker cannot know (kong's Parse and Run, text/template) makes it keep every
// public method of every library: 9 MB. go build -ldflags=-dumpdep ./cmd/usher names who does it, by <ReflectMethod>.
// Built as tests build it, so that nothing is compiled twice; without cgo it is a little smaller.
func TestBinary_IsSmall(t *testing.T) {
	const most = 26_000_000
	name := filepath.Join(t.TempDir(), "usher")
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", name, "../cmd/usher").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > most {
		t.Errorf("the stripped binary has %d bytes, more than %d", info.Size(), most)
	}
}

func TestUnit_IsOneThatSystemdTakes(t *testing.T) {
	unit := read(t, "systemd/usher.service")
	for _, line := range []string{"User=usher", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "StateDirectory=usher", "ExecStart=/usr/bin/usher serve"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return // no systemd here; the lines above are what is checked
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "usher.service")
	if err := os.WriteFile(name, []byte(strings.ReplaceAll(unit, "/usr/bin/usher", self)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", name).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// The exit code of a wrong config is also the one of a Go program that crashes.
func TestUnit_StartsAgainAfterACrash(t *testing.T) {
	if os.Getenv("CRASH") != "" {
		panic("as asked for")
	}
	unit := read(t, "systemd/usher.service")
	crash := exec.Command("sh", "-c", `ulimit -c 0 && exec "$0" -test.run '^TestUnit_StartsAgainAfterACrash$'`, os.Args[0])
	crash.Env = append(os.Environ(), "CRASH=1")
	for _, m := range regexp.MustCompile(`(?m)^Environment=(\S+)$`).FindAllStringSubmatch(unit, -1) {
		crash.Env = append(crash.Env, m[1])
	}
	out, err := crash.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "as asked for") {
		t.Fatalf("it did not crash: %v\n%s", err, out)
	}
	if code := crash.ProcessState.ExitCode(); strings.Contains(unit, "\nRestartPreventExitStatus="+strconv.Itoa(code)+"\n") {
		t.Errorf("a crash exits with %d, after which the unit does not start again", code)
	}
}

func kubernetesConfig(t *testing.T) *config.Config {
	t.Helper()
	mounted := t.TempDir()
	text := strings.ReplaceAll(read(t, "kubernetes/usher.yaml"), "/etc/usher/secrets", mounted)
	for _, name := range []string{"app.secret", "redis-password"} {
		if err := os.WriteFile(filepath.Join(mounted, name), []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, warnings, err := config.Parse("usher.yaml", []byte(text), nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return cfg
}

func TestKubernetes_ConfigIsAGoodOne(t *testing.T) { kubernetesConfig(t) }

func TestKubernetes_SidecarMountsWhatItNames(t *testing.T) {
	type named struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	}
	pod := decode[struct {
		Spec struct {
			Template struct {
				Spec struct {
					InitContainers []struct {
						Env             []struct{ Name, Value string }
						VolumeMounts    []named `yaml:"volumeMounts"`
						SecurityContext struct {
							RunAsNonRoot           bool `yaml:"runAsNonRoot"`
							ReadOnlyRootFilesystem bool `yaml:"readOnlyRootFilesystem"`
						} `yaml:"securityContext"`
					} `yaml:"initContainers"`
					Volumes []named
				}
			}
		}
	}](t, "kubernetes/sidecar.yaml").Spec.Template.Spec
	usher := pod.InitContainers[0]
	if !usher.SecurityContext.RunAsNonRoot || !usher.SecurityContext.ReadOnlyRootFilesystem {
		t.Error("the sidecar may be root, or write where it need not")
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, m := range usher.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("there is no volume %s", m.Name)
		}
		// An emptyDir is root's, and open to all (0777): data_dir is a folder in it that usher makes for itself.
		if within, err := filepath.Rel(m.MountPath, kubernetesConfig(t).DataDir); m.Name == "usher-data" && (err != nil || within == "." || strings.HasPrefix(within, "..")) {
			t.Errorf("data_dir is no folder below %s, where %s is mounted", m.MountPath, m.Name)
		}
	}
	component := decode[struct {
		ConfigMapGenerator []struct{ Files []string } `yaml:"configMapGenerator"`
		Patches            []struct{ Path string }
	}](t, "kubernetes/kustomization.yaml")
	for _, name := range append(component.ConfigMapGenerator[0].Files, component.Patches[0].Path, component.Patches[1].Path) {
		read(t, filepath.Join("kubernetes", name))
	}
}

// overlay is the environment that the overlay gives to a service, with docker-jitsi-meet's own settings passed on.
func overlay(t *testing.T, service string, outside map[string]string) []string {
	t.Helper()
	services := decode[struct {
		Services map[string]struct{ Environment []string }
	}](t, "compose/usher.yml").Services
	variable := regexp.MustCompile(`\$\{(\w+):-([^${}]*)\}`)
	value := func(text string) string {
		parts := variable.FindStringSubmatch(text)
		return cmp.Or(outside[parts[1]], parts[2])
	}
	env := []string{}
	for _, entry := range services[service].Environment {
		for variable.MatchString(entry) {
			entry = variable.ReplaceAllStringFunc(entry, value)
		}
		if name, _, set := strings.Cut(entry, "="); set {
			env = append(env, entry)
		} else if value := outside[name]; value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// What the overlay sets, with docker-jitsi-meet's own settings passed on, is a whole config.
func TestCompose_EnvironmentIsAGoodConfig(t *testing.T) {
	env := overlay(t, "usher", map[string]string{
		"JWT_APP_ID": "my-app", "JWT_APP_SECRET": "0123456789abcdef0123456789abcdef", "JWT_ACCEPTED_AUDIENCES": "jitsi",
		"XMPP_DOMAIN": "meet.example.com", "ENABLE_GUESTS": "1",
	})
	cfg, warnings, err := config.Load(config.Options{Env: env, Search: []string{}})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if p := cfg.Profiles["default"]; p.Domain != "meet.example.com" || p.Issuers[0].Iss != "my-app" {
		t.Error("docker-jitsi-meet's settings did not arrive")
	} else if p.Guests != config.Allow {
		t.Error("the guests' host is there for nobody")
	}
	prosody := strings.Join(overlay(t, "prosody", nil), "\n")
	for _, line := range []string{"JWT_AUTH_TYPE=usher", "JWT_TOKEN_AUTH_MODULE=muc_usher", `usher_url = "http://` + cfg.Hosts[0] + `:9160"`} {
		if !strings.Contains(prosody, line) {
			t.Errorf("Prosody is not told %s", line)
		}
	}
}

// docker-jitsi-meet lets its own accounts into rooms without a token: Jibri's recorder, Jigasi.
func TestCompose_AccountsOfJitsisOwnNeedNoToken(t *testing.T) {
	for _, entry := range overlay(t, "prosody", map[string]string{"GLOBAL_CONFIG": `one = 1\nusher_apply = {}`}) {
		lines, found := strings.CutPrefix(entry, "GLOBAL_CONFIG=")
		if !found {
			continue
		}
		name := filepath.Join(t.TempDir(), "prosody.cfg.lua")
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(lines, `\n`, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		conf, err := prosodyconf.Evaluate(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&prosodyconf.Host{Options: conf.Global}).Strings("usher_allowlist"); !slices.Equal(got, []string{"auth.meet.jitsi", "hidden.meet.jitsi"}) {
			t.Errorf("not asked about: %q", got)
		}
		if _, kept := conf.Global["usher_apply"]; !kept {
			t.Error("GLOBAL_CONFIG of docker-jitsi-meet's own .env is lost")
		}
		return
	}
	t.Error("Prosody is told nothing")
}

// Jitsi's muc_resource_validate tells by the name of a host's authentication whose nicks anonymous_strict binds, and knows
// no "usher" by itself: without it everybody with a token may take anybody's nick.
func TestCompose_NicksOfUsersWithTokensStayBound(t *testing.T) {
	if want := "PROSODY_MUC_RESOURCE_VALIDATE_ANON_METHODS=anonymous,jitsi-anonymous,usher"; !slices.Contains(overlay(t, "prosody", nil), want) {
		t.Errorf("Prosody is not told %s", want)
	}
}

// A command that does not name the overlay finds no usher, or takes Prosody away from it.
func TestReadme_EveryComposeCommandKnowsTheOverlay(t *testing.T) {
	before, commands, found := strings.Cut(read(t, "README.md"), "echo COMPOSE_FILE=docker-compose.yml:usher.yml >> .env\n")
	if !found || strings.Contains(before, "docker compose ") || !strings.Contains(commands, "docker compose ") {
		t.Error("README.md names the overlay after commands that need it, or not at all")
	}
	if strings.Contains(commands, "docker compose -f") {
		t.Error("README.md names files on a command line, which makes Compose forget those of .env")
	}
}
