package revocation_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
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

// clock is a node's clock, which can be set.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func TestJudge_AClockThatIsSetBackMakesNoIndexFresh(t *testing.T) {
	behind, c := &line{Store: store(t)}, new(clock)
	l := revocation.Open(behind, revocation.Options{Heartbeat: 50 * time.Millisecond, Now: c.now})
	t.Cleanup(func() { l.Close() })
	<-l.Loaded()
	unavailable := func() bool {
		_, problem := l.Judge(t.Context(), marks("b"), quick, c.now())
		return problem != nil && problem.Code == reason.RevocationUnavailable
	}
	behind.cut.Store(true)
	c.ahead.Store(int64(-time.Hour))
	if !unavailable() {
		t.Error("cut off as the clock was set back, the index counts as fresh")
	}
	behind.cut.Store(false)
	storetest.Eventually(t, "the index is current by the clock as it is now", func() bool {
		asked := l.Stats().Asked
		return !unavailable() && l.Stats().Asked == asked
	})
	behind.cut.Store(true)
	storetest.Within(t, 10*time.Second, "the index grows old by the clock as it is now", unavailable)
}

// said counts the lines of a log that say something.
type said struct {
	what  string
	times atomic.Int64
}

func (s *said) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(s.what)) {
		s.times.Add(1)
	}
	return len(line), nil
}

func TestJudge_SaysLoudlyWhoIsLetInUncheckedAfterTheClockWasSetBackToo(t *testing.T) {
	behind, log := &line{Store: store(t)}, &said{what: "let in unchecked"}
	l := revocation.Open(behind, revocation.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	t.Cleanup(func() { l.Close() })
	<-l.Loaded()
	behind.cut.Store(true)
	allow := revocation.Rules{Strict: true, AllowWhenUnavailable: true}
	for n, now := range []time.Time{time.Now(), time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)} {
		if _, problem := l.Judge(t.Context(), marks("a"), allow, now); problem != nil {
			t.Fatalf("judged %v", problem)
		}
		if want := int64(min(n+1, 2)); log.times.Load() != want {
			t.Errorf("after %d who were let in the log says so %d times, want %d", n+1, log.times.Load(), want)
		}
	}
}

// gated is a store whose entries are given once the gate is open.
type gated struct {
	revocation.Store
	gate chan struct{}
}

func (g *gated) Snapshot(ctx context.Context, yield func([]revocation.Entry) error) error {
	select {
	case <-g.gate:
		return g.Store.Snapshot(ctx, yield)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestJudge_BeforeTheIndexIsLoadedThereIsNoDecision(t *testing.T) {
	l := revocation.Open(&gated{store(t), make(chan struct{})}, revocation.Options{AskTimeout: 20 * time.Millisecond})
	t.Cleanup(func() { l.Close() })
	for _, rules := range []revocation.Rules{{}, {Strict: true}, {AllowWhenUnavailable: true}, {MaxStaleness: 100 * 365 * 24 * time.Hour}} {
		if _, problem := l.Judge(t.Context(), marks("a"), rules, time.Now()); problem == nil || problem.Code != reason.RevocationUnavailable {
			t.Errorf("%+v: the judgement is %v", rules, problem)
		}
	}
	if s := l.Stats(); s.Asked != 0 || s.Unchecked != 0 || s.Unavailable != 4 {
		t.Errorf("it was counted as %+v", s)
	}
}

func TestJudge_WaitsForTheIndexToBeLoaded(t *testing.T) {
	slow := &gated{store(t), make(chan struct{})}
	l := revocation.Open(slow, revocation.Options{AskTimeout: time.Hour})
	t.Cleanup(func() { l.Close() })
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, problem := l.Judge(gone, marks("a"), revocation.Rules{}, time.Now()); problem == nil || problem.Code != reason.RevocationUnavailable {
		t.Errorf("who does not wait is told %v", problem)
	}
	judged := make(chan *reason.Problem)
	go func() {
		_, problem := l.Judge(t.Context(), marks("a"), revocation.Rules{}, time.Now())
		judged <- problem
	}()
	select {
	case problem := <-judged:
		t.Fatalf("the judgement before the index was loaded is %v", problem)
	case <-time.After(50 * time.Millisecond):
	}
	close(slow.gate)
	if problem := <-judged; problem != nil {
		t.Errorf("the judgement is %v", problem)
	}
	if len(l.FeedKeys(nil, marks("a"))) == 0 {
		t.Error("who was let in has no keys, and could never be put out")
	}
	if n := l.Stats().Asked; n != 0 {
		t.Errorf("the store was asked %d times, with a fresh index at hand", n)
	}
}

// shut is a store whose snapshot waits, and says that it does.
type shut struct {
	revocation.Store
	asked, gate chan struct{}
}

func (s *shut) Snapshot(ctx context.Context, yield func([]revocation.Entry) error) error {
	close(s.asked)
	<-s.gate
	return s.Store.Snapshot(ctx, yield)
}

func TestLedger_TellsOfWhatIsRevokedWhileItLoads(t *testing.T) {
	s := &shut{store(t), make(chan struct{}), make(chan struct{})}
	revoke := func(jti string) {
		t.Helper()
		if _, err := s.Revoke(t.Context(), []revocation.Revocation{storetest.JTI(t, jti)}); err != nil {
			t.Fatal(err)
		}
	}
	revoke("before")
	seen := make(chan string, 10)
	l := revocation.Open(s, revocation.Options{Seen: func(c revocation.Change) { seen <- c.Revocation.Value }})
	t.Cleanup(func() { l.Close() })
	<-s.asked
	revoke("meanwhile")
	close(s.gate)
	<-l.Loaded()
	revoke("after")
	for _, want := range []string{"meanwhile", "after"} {
		select {
		case got := <-seen:
			if got != want {
				t.Errorf("was told of %s, want %s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("was never told of %s", want)
		}
	}
}

func TestFeed_LiftsAreNotTold(t *testing.T) {
	l := storetest.Ledger(t, store(t))
	lines := l.Feed().Subscribe(t.Context(), "")
	<-lines // says where to begin
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

func TestClaim_AdmitsTheFirstItsSessionAndWhoComesWithinTheGrace(t *testing.T) {
	const grace = time.Minute
	for _, c := range []struct {
		claim revocation.Claim
		grace time.Duration
		want  bool
	}{
		{revocation.Claim{First: true, Owner: "a", Age: time.Hour}, grace, true},
		{revocation.Claim{Owner: "me", Age: time.Hour}, grace, true},
		{revocation.Claim{Owner: "a", Age: grace - 1}, grace, true},
		{revocation.Claim{Owner: "a", Age: grace}, grace, false},
		{revocation.Claim{Owner: "a"}, 0, false},
	} {
		if got := c.claim.Admits("me", c.grace); got != c.want {
			t.Errorf("%+v with %s of grace: %t", c.claim, c.grace, got)
		}
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
