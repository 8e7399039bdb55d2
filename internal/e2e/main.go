package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/usher-im/usher/internal/e2e/proc"
	"github.com/usher-im/usher/internal/e2e/verifier"
)

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// Main runs a package's tests; call it from TestMain. It removes what binary has built.
func Main(m *testing.M) {
	if err := proc.RaiseFileLimit(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// binary is usher, built once in a test run.
func binary(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.err = dependOnSources(); built.err != nil {
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "usher-e2e-"); built.err != nil {
			return
		}
		built.path, built.err = verifier.Build(context.Background(), built.dir)
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// dependOnSources looks at every folder that usher and its Lua modules are made of. go test keeps the result of a run
// until something that the run looked at has changed, and what Prosody and the compiler look at it does not see: without
// this, a change of the verifier or the modules would find these tests "cached". It is told of from within a test alone.
func dependOnSources() error {
	repo, err := proc.RepoRoot()
	if err != nil {
		return err
	}
	for _, folder := range []string{"cmd", "internal", "lua"} {
		if err := filepath.WalkDir(filepath.Join(repo, folder), func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
			return fmt.Errorf("look at usher's sources: %w", err)
		}
	}
	return nil
}
