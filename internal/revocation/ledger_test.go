package revocation_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/sqlitestore"
	"github.com/usher-im/usher/internal/revocation/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func store(t *testing.T) revocation.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "revocations.db"), sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var errCut = errors.New("the line is cut")

// line is a store behind a line that can be cut.
type line struct {
	revocation.Store
	cut atomic.Bool
}

func (l *line) State(ctx context.Context, offer revocation.Identity, beat string) (revocation.State, error) {
	if l.cut.Load() {
		return revocation.State{}, errCut
	}
	return l.Store.State(ctx, offer, beat)
}

func (l *line) Changes(ctx context.Context, after uint64, wait time.Duration) ([]revocation.Change, error) {
	if l.cut.Load() {
		return nil, errCut
	}
	return l.Store.Changes(ctx, after, min(wait, 5*time.Millisecond))
}

func (l *line) Lookup(ctx context.Context, keys []revocation.Key) ([]revocation.Entry, error) {
	if l.cut.Load() {
		return nil, errCut
	}
	return l.Store.Lookup(ctx, keys)
}

func marks(jti string) *revocation.Marks {
	m := revocation.MarksOf(revocation.Subject{Issuer: "app", JTI: jti})
	return &m
}

var quick = revocation.Rules{MaxStaleness: 200 * time.Millisecond}

func TestJudge_CutOffItKnowsWhatItKnewAndDeniesTheRest(t *testing.T) {
	behind := &line{Store: store(t)}
	l := storetest.Ledger(t, behind)
	if _, err := l.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "a")}); err != nil {
		t.Fatal(err)
	}
	behind.cut.Store(true)
	storetest.Eventually(t, "the index is too old", func() bool {
		_, problem := l.Judge(t.Context(), marks("b"), quick, time.Now())
		return problem != nil && problem.Code == reason.RevocationUnavailable
	})
	if id, problem := l.Judge(t.Context(), marks("a"), quick, time.Now()); problem == nil || problem.Code != reason.TokenRevoked || id != storetest.JTI(t, "a").ID {
		t.Errorf("what was known to be revoked is judged %q, %v", id, problem)
	}
	allow := quick
	allow.AllowWhenUnavailable = true
	if _, problem := l.Judge(t.Context(), marks("b"), allow, time.Now()); problem != nil {
		t.Errorf("on_unavailable: allow gives %v", problem)
	}
	if _, problem := l.Judge(t.Context(), marks("a"), allow, time.Now()); problem == nil {
		t.Error("on_unavailable: allow lets in what is known to be revoked")
	}
	behind.cut.Store(false)
	storetest.Eventually(t, "the store is followed again", func() bool {
		return l.Stats().Age < 150*time.Millisecond
	})
	if _, problem := l.Judge(t.Context(), marks("b"), quick, time.Now()); problem != nil {
		t.Errorf("followed again, the judgement is %v", problem)
	}
}

func TestJudge_AsksTheStoreWhereTheIndexIsTooOld(t *testing.T) {
	s := store(t)
	l := storetest.Ledger(t, s)
	later := time.Now().Add(time.Hour) // by which the index is old
	if _, problem := l.Judge(t.Context(), marks("a"), quick, later); problem != nil {
		t.Fatalf("judged %v", problem)
	}
	if l.Stats().Asked != 1 {
		t.Errorf("the store was asked %d times", l.Stats().Asked)
	}
}

func TestFeed_LiftsAreNotTold(t *testing.T) {
	l := storetest.Ledger(t, store(t))
	lines := l.Feed().Subscribe(t.Context(), l.Feed().Cursor())
	r := storetest.JTI(t, "a")
	if _, err := l.Revoke(t.Context(), []revocation.Revocation{r}); err != nil {
		t.Fatal(err)
	}
	first := <-lines
	if _, _, err := l.Lift(t.Context(), r.Key(), "cred:lifter"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, "b")}); err != nil {
		t.Fatal(err)
	}
	if second := <-lines; len(second.Keys) != 1 || second.Keys[0] == first.Keys[0] {
		t.Errorf("told %+v, then %+v", first, second)
	}
}

func TestLedger_IsStoppedByClose(t *testing.T) {
	l := revocation.Open(store(t), revocation.Options{})
	<-l.Loaded()
	ctx, cancel := context.WithCancel(t.Context())
	lines := l.Feed().Subscribe(ctx, "")
	<-lines
	cancel()
	for range lines {
		t.Error("a subscription that ended goes on")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
