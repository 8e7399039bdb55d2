package sqlitestore_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/sqlitestore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

// A clock that ran ahead and is set right again must not let a one-time token in a second time: neither because its mark
// was cleared away meanwhile, nor because the first connect seems to lie ahead.
func TestClaim_IsHeldWhenTheClockIsSetBack(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "revocations.db"), sqlitestore.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	const grace = time.Minute
	claim := func(jti, owner string) revocation.Claim {
		t.Helper()
		c, err := s.Claim(t.Context(), revocation.Mark{Key: storetest.JTI(t, jti).Key(), Owner: owner, Until: time.Now().Add(3 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	set := func(d time.Duration) {
		t.Helper()
		ahead.Store(int64(d))
		if _, err := s.State(t.Context(), revocation.Identity{Epoch: "test"}, ""); err != nil { // a heartbeat clears away
			t.Fatal(err)
		}
	}
	claim("before", "first")
	set(20 * time.Hour)
	set(0)
	if c := claim("before", "thief"); c.Admits("thief", 0) {
		t.Errorf("its mark was cleared away: %+v", c)
	}
	set(time.Hour)
	claim("meanwhile", "first")
	set(0)
	if c := claim("meanwhile", "thief"); c.Admits("thief", grace) {
		t.Errorf("an hour ahead counts as within the grace: %+v", c)
	}
}

// Whoever waits longer holds a question that the shim has given up, and in the end all that there may be at once.
func TestClaim_WaitsForNoDiskForLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.db")
	l := revocation.Open(open(t, path, 0), revocation.Options{AskTimeout: 10 * time.Millisecond})
	t.Cleanup(func() { l.Close() })
	<-l.Loaded()
	other, err := sql.Open("sqlite", path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	writes, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Claim(t.Context(), "app", "one", "a", "", time.Minute, time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another process writes the claim ends with %v", err)
	}
	if err := writes.Rollback(); err != nil {
		t.Fatal(err)
	}
	storetest.Eventually(t, "the claim is taken", func() bool {
		claim, err := l.Claim(t.Context(), "app", "one", "a", "", time.Minute, time.Time{})
		return err == nil && claim.Owner == "a"
	})
}
