package sqlitestore_test

import (
	"path/filepath"
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
