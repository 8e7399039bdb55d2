package revocation_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/sqlitestore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

// stalled is a store that holds up the last answer which a load needs, and then tells of no change any more.
type stalled struct {
	revocation.Store
	asked, gate chan struct{}
}

func (s *stalled) Changes(ctx context.Context, after uint64, wait time.Duration) ([]revocation.Change, error) {
	if wait == 0 {
		close(s.asked)
		<-s.gate
		return s.Store.Changes(ctx, after, 0)
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestRevoke_WhatALoadDidNotSeeStaysInTheIndex(t *testing.T) {
	s := &stalled{store(t), make(chan struct{}), make(chan struct{})}
	l := revocation.Open(s, revocation.Options{})
	t.Cleanup(func() { l.Close() })
	<-s.asked
	if _, err := l.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "a")}); err != nil {
		t.Fatal(err)
	}
	close(s.gate)
	<-l.Loaded()
	if !storetest.Denies(t, l, "a", revocation.Rules{MaxStaleness: time.Hour}) {
		t.Error("what was revoked here is forgotten by a load that did not see it")
	}
	if n := l.Index().Len(); n != 1 {
		t.Errorf("there are %d entries, want 1", n)
	}
}

// failover is a master, and another that takes its place without its last changes: of those nobody has been told.
type failover struct {
	revocation.Store
	heir revocation.Store
	over atomic.Bool
}

func (f *failover) State(ctx context.Context, offer revocation.Identity, beat string) (revocation.State, error) {
	if !f.over.Load() {
		return f.Store.State(ctx, offer, beat)
	}
	st, err := f.heir.State(ctx, offer, beat)
	st.Run = "heir"
	return st, err
}

func (f *failover) Snapshot(ctx context.Context, yield func([]revocation.Entry) error) error {
	if f.over.Load() {
		return f.heir.Snapshot(ctx, yield)
	}
	return f.Store.Snapshot(ctx, yield)
}

func (f *failover) Changes(ctx context.Context, after uint64, wait time.Duration) ([]revocation.Change, error) {
	if f.over.Load() {
		return f.heir.Changes(ctx, after, min(wait, 5*time.Millisecond))
	}
	if wait > 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.Store.Changes(ctx, after, 0)
}

func (f *failover) Restore(ctx context.Context, lost []revocation.Lost) (int, error) {
	return f.heir.Restore(ctx, lost)
}

// Else it would stand on this node alone, where nobody can list or lift it. It was lifted once, and is newer than that.
func TestRevoke_WhatAFailoverLostBeforeAnyNodeHeardOfItIsPutBack(t *testing.T) {
	dir := t.TempDir()
	open := func(name string) revocation.Store {
		t.Helper()
		s, err := sqlitestore.Open(t.Context(), filepath.Join(dir, name), sqlitestore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	f, a := &failover{Store: open("master.db")}, storetest.JTI(t, "a")
	if _, err := f.Store.State(t.Context(), revocation.Identity{Epoch: "test"}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Store.Revoke(t.Context(), []revocation.Revocation{a}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Store.Lift(t.Context(), a.Key(), "cred:lifter"); err != nil {
		t.Fatal(err)
	}
	if err := sqlitestore.Backup(t.Context(), filepath.Join(dir, "master.db"), filepath.Join(dir, "heir.db")); err != nil {
		t.Fatal(err)
	}
	f.heir = open("heir.db")
	l := storetest.Ledger(t, f)
	a.CreatedAt = a.CreatedAt.Add(time.Minute)
	if _, err := l.Revoke(t.Context(), []revocation.Revocation{a}); err != nil {
		t.Fatal(err)
	}
	f.over.Store(true)
	storetest.Within(t, 10*time.Second, "what was lost is put back", func() bool {
		r, err := f.heir.Get(t.Context(), a.Key())
		return err == nil && r.Value == "a" && r.Reason == "leaked"
	})
	if !storetest.Denies(t, l, "a", revocation.Rules{}) {
		t.Error("its token is let in")
	}
	storetest.Eventually(t, "the node follows", func() bool { return l.Stats().Seq == 3 })
	if _, _, err := f.heir.Lift(t.Context(), a.Key(), "cred:lifter"); err != nil {
		t.Fatal(err)
	}
	storetest.Eventually(t, "once it is lifted its token is let in", func() bool { return !storetest.Denies(t, l, "a", revocation.Rules{}) })
}
