package sqlitestore_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

// A node that looks at its file once a second while nobody writes still hears of a write at once.
func TestChanges_OfAnotherProcessAreHeardAtOnceAfterARest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.db")
	node, other := open(t, path, 0), open(t, path, 0)
	const writes = 4
	var took time.Duration
	for i := range uint64(writes) {
		if found, err := node.Changes(t.Context(), i, 900*time.Millisecond); err != nil || len(found) > 0 {
			t.Fatal(found, err)
		}
		heard := make(chan error, 1)
		go func() {
			found, err := node.Changes(t.Context(), i, 10*time.Second)
			if err == nil && len(found) != 1 {
				err = fmt.Errorf("write %d: %d changes", i, len(found))
			}
			heard <- err
		}()
		if _, err := other.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
		written := time.Now()
		if err := <-heard; err != nil {
			t.Fatal(err)
		}
		took += time.Since(written)
	}
	// Without being told, it would find each after 500 ms, in the middle.
	if took > writes*200*time.Millisecond {
		t.Errorf("%d writes took %v to be heard", writes, took)
	}
}

func TestChanges_OfAnotherProcessAreHeardThroughALink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.db")
	other := open(t, path, 0)
	link := filepath.Join(t.TempDir(), "linked.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	node := open(t, link, 0)
	if _, err := other.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "a")}); err != nil {
		t.Fatal(err)
	}
	if changes, err := node.Changes(t.Context(), 0, 10*time.Second); err != nil || len(changes) != 1 {
		t.Fatal(changes, err)
	}
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
	if n, err := sqlitestore.Count(t.Context(), path); err == nil || !strings.Contains(err.Error(), path+": the file was written by a newer usher") {
		t.Fatalf("it was counted: %d, %v", n, err)
	}
}

func TestSnapshot_PassesOverNoSelectorThatItDoesNotKnow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.db")
	s := open(t, path, 0)
	r := storetest.JTI(t, "a")
	if _, err := s.Revoke(t.Context(), []revocation.Revocation{r}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE revocations SET kind = 99"); err != nil {
		t.Fatal(err)
	}
	err = s.Snapshot(t.Context(), func([]revocation.Entry) error { return nil })
	if err == nil || !strings.Contains(err.Error(), r.ID) || !strings.Contains(err.Error(), "run the version that made it") {
		t.Errorf("it was loaded: %v", err)
	}
	// Nor does a node that follows already.
	if _, err := db.Exec("UPDATE changes SET kind = 99"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Changes(t.Context(), 0, 0); err == nil || !strings.Contains(err.Error(), "run the version that made it") {
		t.Errorf("it was followed: %v", err)
	}
}

// What is written to a file that was deleted, or replaced by a backup, is gone with the node; and what it says of a token is
// no answer either, for what has been revoked since stands in another.
func TestStore_TakesNothingOnceItsFileIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.db")
	s := open(t, path, 0)
	uses := map[string]func() error{
		"Revoke": func() error {
			_, err := s.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "a")})
			return err
		},
		"Claim": func() error {
			_, err := s.Claim(t.Context(), revocation.Mark{Key: storetest.JTI(t, "a").Key(), Owner: "one"})
			return err
		},
		"State": func() error {
			_, err := s.State(t.Context(), revocation.Identity{Epoch: "test"}, "")
			return err
		},
		"Changes": func() error {
			_, err := s.Changes(t.Context(), 0, 0)
			return err
		},
		"Lookup": func() error {
			_, err := s.Lookup(t.Context(), []revocation.Key{storetest.JTI(t, "a").Key()})
			return err
		},
	}
	all := func(works bool) {
		t.Helper()
		for name, use := range uses {
			if err := use(); works != (err == nil) || err != nil && !strings.Contains(err.Error(), "moved, deleted or replaced") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	all(true)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	all(false)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all(false)
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	all(true)
}

// A disk that is full must not keep a node from starting.
func TestState_IsGivenWhereNothingCanBeClearedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.db")
	s := open(t, path, 0)
	old := storetest.JTI(t, "old")
	old.ExpiresAt = time.Now().Add(-100 * 24 * time.Hour).UTC().Truncate(time.Millisecond)
	if _, err := s.Revoke(t.Context(), []revocation.Revocation{old, storetest.JTI(t, "a")}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TRIGGER full BEFORE DELETE ON revocations BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"); err != nil {
		t.Fatal(err)
	}
	if !storetest.Denies(t, storetest.Ledger(t, s), "a", revocation.Rules{}) {
		t.Error("the revocations were not loaded")
	}
}
