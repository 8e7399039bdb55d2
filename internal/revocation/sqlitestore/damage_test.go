package sqlitestore_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/sqlitestore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

func TestStore_SaysWhichFileIsDamagedAndWhatHelps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.db")
	s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var many []revocation.Revocation
	for i := range 500 {
		many = append(many, storetest.JTI(t, fmt.Sprint(i)))
	}
	if _, err := s.Revoke(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[4096:]) // all but what opening reads
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = sqlitestore.Open(t.Context(), path, sqlitestore.Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	uses := map[string]func() error{
		"State": func() error {
			_, err := s.State(t.Context(), revocation.Identity{Epoch: "test"}, "")
			return err
		},
		"Snapshot": func() error { return s.Snapshot(t.Context(), func([]revocation.Entry) error { return nil }) },
		"List": func() error {
			_, err := s.List(t.Context(), revocation.Query{})
			return err
		},
		"Revoke": func() error {
			_, err := s.Revoke(t.Context(), many[:1])
			return err
		},
	}
	for name, use := range uses {
		if err := use(); err == nil || !strings.Contains(err.Error(), path+" is damaged") || !strings.Contains(err.Error(), "put a backup in its place") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpen_SaysWhatHelpsWhereTheTablesAreNotThoseOfTheSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.db")
	open(t, path, 0).Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("ALTER TABLE changes DROP COLUMN actor"); err != nil { // as before the first version was out
		t.Fatal(err)
	}
	_, err = sqlitestore.Open(t.Context(), path, sqlitestore.Options{})
	if err == nil || !strings.Contains(err.Error(), path+" is damaged") || !strings.Contains(err.Error(), "import what was exported") {
		t.Errorf("%v", err)
	}
}
