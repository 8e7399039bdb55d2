package sqlitestore_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/sqlitestore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

func open(t testing.TB, path string, keep uint64) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{KeepChanges: keep})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore_KeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backing {
		path := filepath.Join(t.TempDir(), "revocations.db")
		return storetest.Backing{Open: func(t *testing.T) revocation.Store { return open(t, path, storetest.KeepChanges) }}
	})
}

func TestOpen_ManyProcessesAtOnceMakeOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.db")
	var opening sync.WaitGroup
	for range 8 {
		opening.Go(func() {
			s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "a")}); err != nil {
				t.Error(err)
			}
		})
	}
	opening.Wait()
}

func TestOpen_RefusesAFileOfANewerVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.db")
	open(t, path, 0)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{}); err == nil || !strings.Contains(err.Error(), "newer usher") {
		t.Fatalf("it was opened: %v", err)
	}
}
