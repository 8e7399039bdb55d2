package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/usher-im/usher/internal/config"
)

// As usher's own user in root's home, where `sudo -u usher` leaves it: a folder that it may not look into.
func TestLoad_AFolderThatIsNotOursToSearchIsPassedOver(t *testing.T) {
	here, next := t.TempDir(), t.TempDir()
	t.Chdir(here)
	found := filepath.Join(next, "usher.yaml")
	for _, file := range []string{filepath.Join(here, "app.secret"), filepath.Join(next, "app.secret")} {
		if err := os.WriteFile(file, []byte("the secret of this test is long enough"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := "profiles: {default: {issuers: [{iss: app, keys: [{secret_file: app.secret}], audiences: [jitsi]}]}}"
	if err := os.WriteFile(found, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	asAnother(t, here, filepath.Dir(next))

	cfg, warnings, err := config.Load(config.Options{Search: []string{"./usher.yaml", found}})
	if err != nil || cfg.Path != found {
		t.Fatalf("got %+v, %v", cfg, err)
	}
	// It may have been the one that was meant.
	if !strings.Contains(fmt.Sprint(warnings), "./usher.yaml: this user may not look there, so the config is "+found+"; name") {
		t.Errorf("nothing is said of the other: %v", warnings)
	}
	// What cannot be told to be missing is not said to be.
	_, _, err = config.Load(config.Options{Search: []string{"./usher.yaml"}})
	if err == nil || !strings.Contains(err.Error(), "./usher.yaml: this file cannot be read (permission denied)") || !strings.Contains(err.Error(), "or type commands as that user or as root") {
		t.Errorf("got %v", err)
	}
}

// asAnother goes on as a user who may search all folders on the way but closed.
func asAnother(t *testing.T, closed, open string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := os.Chmod(closed, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(closed, 0o700) })
		return
	}
	for path, mode := range map[string]os.FileMode{closed: 0o700, open: 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	runtime.LockOSThread() // it holds for the thread alone
	if err := syscall.Setfsuid(12345); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Setfsuid(0)
		runtime.UnlockOSThread()
	})
}
