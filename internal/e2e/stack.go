package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/e2e/verifier"
)

// Domain is the token host of every stack; its rooms are at conference.<Domain>, and guest.<Domain> is a plain
// anonymous host beside it.
const Domain = "meet.example.com"

// GuestDomain is served without usher: whoever connects there shows that Prosody serves everybody else.
const GuestDomain = "guest." + Domain

// patience bounds each single wait of a test: far longer than anything should take, far shorter than go test's own.
const patience = 30 * time.Second

// SecureTCP is Lua that makes plain c2s count as encrypted, for a token goes in no other way there, and the harness speaks no
// TLS.
const SecureTCP = `prosody.hosts["` + Domain + `"].events.add_handler("stream-features", function (event)
	event.origin.secure = true;
end, 1000);`

// Setup changes a stack from its default: one profile with one issuer (see DefaultProfiles), no guests, rooms that
// a token may open.
type Setup struct {
	// Profiles is the YAML below `profiles:`; DefaultProfiles when left out.
	Profiles string
	// Verifier is further YAML at top level (redis, limits, audit, …).
	Verifier string
	// Env is for the verifier.
	Env []string
	// WithoutGate lets Prosody ask the verifier itself; there is no Stack.Gate then.
	WithoutGate bool
	// The rest goes to Prosody; see prosody.Options.
	Admins                   []string
	Modules, MUCModules      []string
	PluginPaths              []string
	LogLevel                 string
	Global, Host, MUC, Hosts string
}

// Stack is a Prosody with our modules, a gate and a verifier.
type Stack struct {
	Prosody  *prosody.Server
	Gate     *Gate
	Verifier *verifier.Verifier
}

// EachProsody runs a test on every installed release.
func EachProsody(t *testing.T, run func(t *testing.T, release prosody.Release)) {
	t.Helper()
	releases, err := prosody.Releases()
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range releases {
		t.Run("Prosody "+release.Name, func(t *testing.T) { run(t, release) })
	}
}

// Start starts a stack and stops it with the test.
func Start(t testing.TB, release prosody.Release, setup Setup) *Stack {
	t.Helper()
	s := &Stack{Verifier: StartVerifier(t, setup)}
	url := s.Verifier.URL
	if !setup.WithoutGate {
		s.Gate = newGate(t, s.Verifier.URL)
		url = s.Gate.URL
	}
	repo, err := proc.RepoRoot()
	if err != nil {
		t.Fatal(err)
	}
	s.Prosody = StartProsody(t, prosody.Options{
		Release:        release,
		Domain:         Domain,
		Authentication: "usher",
		Admins:         setup.Admins,
		PluginPaths:    append(setup.PluginPaths[:len(setup.PluginPaths):len(setup.PluginPaths)], filepath.Join(repo, "lua")),
		LogLevel:       setup.LogLevel,
		Modules:        setup.Modules,
		MUCModules:     append([]string{"muc_usher"}, setup.MUCModules...),
		Global:         fmt.Sprintf("usher_url = %q\n%s", url, setup.Global),
		Host:           setup.Host,
		MUC:            setup.MUC,
		Hosts:          setup.Hosts,
	})
	t.Cleanup(func() {
		if s.Prosody.Log.Contains("stack traceback") {
			t.Error("a handler threw inside Prosody: see its log")
		}
	})
	s.settle(t)
	return s
}

// settle waits until Prosody follows the feed: its first line asks about everybody who is inside by then, which would
// come between a test's own questions.
func (s *Stack) settle(t testing.TB) {
	t.Helper()
	if s.Gate == nil {
		return
	}
	var follows bool
	s.Lua(t, `return module:context("`+Domain+`"):get_option_boolean("usher_eject", true);`, &follows)
	if !follows {
		return
	}
	select {
	case <-s.Gate.followed:
	case <-Context(t).Done():
		t.Fatal("Prosody did not begin to follow the verifier's feed")
	}
}

// StartVerifier starts a verifier alone and stops it with the test.
func StartVerifier(t testing.TB, setup Setup) *verifier.Verifier {
	t.Helper()
	profiles := setup.Profiles
	if profiles == "" {
		profiles = DefaultProfiles
	}
	// Built first: a build from nothing takes longer than any wait of a test.
	usher := binary(t)
	v, err := verifier.Start(Context(t), verifier.Options{
		Binary: usher,
		Dir:    t.TempDir(),
		Config: setup.Verifier + "\nprofiles:\n" + profiles,
		Env:    setup.Env,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Stop(); err != nil {
			t.Error(err)
		}
		showOnFailure(t, v.Process)
	})
	return v
}

// StartProsody starts a Prosody alone and stops it with the test. A Dir of the test's own is filled in.
func StartProsody(t testing.TB, opt prosody.Options) *prosody.Server {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	server, err := prosody.Start(Context(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
		showOnFailure(t, server.Process)
	})
	return server
}

// Lua runs a chunk inside Prosody and decodes what it returns into result; nil throws it away.
func (s *Stack) Lua(t testing.TB, chunk string, result any) {
	t.Helper()
	if err := s.Prosody.Lua(Context(t), chunk, result); err != nil {
		t.Fatal(err)
	}
}

// Room is the address of a room by its name: "daily", or "[tenant]daily".
func Room(name string) string { return name + "@conference." + Domain }

// Context ends with the test, or when a single wait has taken far too long.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func showOnFailure(t testing.TB, p *proc.Process) {
	if t.Failed() {
		t.Logf("%s printed, at the end:\n%s", p.Name, p.Log.Tail(200))
	}
}
