package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
)

const heartbeat = 50 * time.Millisecond

// Ledger is a node on a store.
func Ledger(t testing.TB, s revocation.Store) *revocation.Ledger {
	t.Helper()
	if _, err := s.State(limited(t), revocation.Identity{Epoch: "test"}, ""); err != nil {
		t.Fatal(err)
	}
	l := revocation.Open(s, revocation.Options{Heartbeat: heartbeat})
	t.Cleanup(func() { l.Close() })
	select {
	case <-l.Loaded():
	case <-time.After(patience):
		t.Fatal("the index was not loaded")
	}
	return l
}

// Denies says whether a node denies a token of this jti.
func Denies(t testing.TB, l *revocation.Ledger, jti string, r revocation.Rules) bool {
	t.Helper()
	m := revocation.MarksOf(revocation.Subject{Issuer: "app", JTI: jti, User: "u", KeyID: "k"})
	_, problem := l.Judge(context.Background(), &m, r, time.Now())
	if problem != nil && problem.Code != reason.TokenRevoked {
		t.Fatalf("the judgement on %s is %v", jti, problem)
	}
	return problem != nil
}

func ledgerFollows(t *testing.T, b Backing) {
	ctx := limited(t)
	var nodes []*revocation.Ledger
	for range 3 {
		nodes = append(nodes, Ledger(t, b.Open(t)))
	}
	if b.Beats {
		Eventually(t, "heartbeats are heard", func() bool { return nodes[0].Stats().Propagation.Count > 1 })
	}
	for i := range 50 {
		jti := fmt.Sprint(i)
		if _, err := nodes[i%3].Revoke(ctx, []revocation.Revocation{JTI(t, jti)}); err != nil {
			t.Fatal(err)
		}
		if !Denies(t, nodes[i%3], jti, revocation.Rules{}) {
			t.Fatal("the node that took the revocation does not deny at once")
		}
		for _, n := range nodes {
			Eventually(t, "every node denies", func() bool { return Denies(t, n, jti, revocation.Rules{}) })
		}
	}
	if _, _, err := nodes[0].Lift(ctx, JTI(t, "7").Key(), "cred:lifter"); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		Eventually(t, "every node lets in again", func() bool { return !Denies(t, n, "7", revocation.Rules{}) })
	}
}

func revokedHere(t *testing.T, b Backing) {
	slow := &held{Store: b.Open(t)}
	l := Ledger(t, slow)
	slow.gate.Lock() // the index hears of nothing
	defer slow.gate.Unlock()
	if _, err := l.Revoke(limited(t), []revocation.Revocation{JTI(t, "a")}); err != nil {
		t.Fatal(err)
	}
	if !Denies(t, l, "a", revocation.Rules{MaxStaleness: time.Hour}) {
		t.Fatal("a node lets in what it has revoked itself, until the store tells it")
	}
}

// answering is a store whose answer to a revocation comes after what is done meanwhile.
type answering struct {
	revocation.Store
	meanwhile func()
}

func (a *answering) Revoke(ctx context.Context, rs []revocation.Revocation) (revocation.Written, error) {
	w, err := a.Store.Revoke(ctx, rs)
	a.meanwhile()
	return w, err
}

func liftedMeanwhile(t *testing.T, b Backing) {
	slow, other := &answering{Store: b.Open(t)}, b.Open(t)
	l := Ledger(t, slow)
	slow.meanwhile = func() {
		_, w, err := other.Lift(limited(t), JTI(t, "a").Key(), "cred:lifter")
		if err != nil {
			t.Fatal(err)
		}
		Eventually(t, "the node has heard of both", func() bool { return l.Stats().Seq >= w.Seq })
	}
	if _, err := l.Revoke(limited(t), []revocation.Revocation{JTI(t, "a")}); err != nil {
		t.Fatal(err)
	}
	if Denies(t, l, "a", revocation.Rules{}) {
		t.Fatal("what was lifted since stays revoked")
	}
}

// noGap writes all through restarts of the reader. What was acknowledged by the time the reader is ready it must come to
// know: a change that fell between snapshot and stream it would never hear of again.
func noGap(t *testing.T, b Backing) {
	var long []revocation.Revocation // so that a snapshot takes its time
	for i := range 10_000 {
		long = append(long, JTI(t, fmt.Sprintf("long-%d", i)))
	}
	revoke(t, b.Open(t), long...)
	ctx, stop := context.WithCancel(limited(t))
	var acknowledged [3]atomic.Int64
	var writing sync.WaitGroup
	for n := range acknowledged {
		s := b.Open(t)
		writing.Go(func() { writeOn(ctx, t, s, n, &acknowledged[n]) })
	}
	defer writing.Wait()
	defer stop()
	for range 15 {
		l := revocation.Open(b.Open(t), revocation.Options{Heartbeat: heartbeat})
		select {
		case <-l.Loaded():
		case <-ctx.Done():
			t.Fatal("the index was not loaded")
		}
		for n := range acknowledged {
			for i := range max(acknowledged[n].Load()-1, 0) {
				jti := fmt.Sprintf("%d-%d", n, i)
				Within(t, 10*time.Second, "the reader knows what became of "+jti, func() bool {
					return Denies(t, l, jti, revocation.Rules{}) == (i%10 != 9)
				})
			}
		}
		l.Close()
	}
}

// writeOn revokes one after the other, and lifts every tenth again.
func writeOn(ctx context.Context, t *testing.T, s revocation.Store, n int, acknowledged *atomic.Int64) {
	for i := int64(0); ctx.Err() == nil; i++ {
		r := JTI(t, fmt.Sprintf("%d-%d", n, i))
		if _, err := s.Revoke(context.Background(), []revocation.Revocation{r}); err != nil {
			t.Errorf("writer %d: %v", n, err)
			return
		}
		if i%10 == 9 {
			if _, _, err := s.Lift(context.Background(), r.Key(), "cred:lifter"); err != nil {
				t.Errorf("writer %d lifts: %v", n, err)
				return
			}
		}
		acknowledged.Store(i + 1)
	}
}

// behind holds up a node while more changes are made than the store keeps.
func behind(t *testing.T, b Backing) {
	slow := &held{Store: b.Open(t)}
	l := Ledger(t, slow)
	slow.gate.Lock()
	var rs []revocation.Revocation
	for i := range 3 * KeepChanges {
		rs = append(rs, JTI(t, fmt.Sprint(i)))
	}
	revoke(t, b.Open(t), rs...)
	slow.gate.Unlock()
	Eventually(t, "the node has all", func() bool { return l.Stats().Seq == uint64(len(rs)) })
	if s := l.Stats(); s.Loads < 2 || s.Gaps == 0 || s.Entries[revocation.SelectJTI] != len(rs) {
		t.Fatalf("it saw no gap: %+v", s)
	}
}

// held is a store whose changes can be held up, as a slow network does.
type held struct {
	revocation.Store
	gate sync.RWMutex
}

func (h *held) Changes(ctx context.Context, after uint64, wait time.Duration) ([]revocation.Change, error) {
	h.gate.RLock()
	defer h.gate.RUnlock()
	return h.Store.Changes(ctx, after, min(wait, 5*time.Millisecond))
}

func strict(t *testing.T, b Backing) {
	slow := &held{Store: b.Open(t)}
	l := Ledger(t, slow)
	slow.gate.Lock() // the index hears of nothing
	defer slow.gate.Unlock()
	revoke(t, b.Open(t), JTI(t, "a"))
	if Denies(t, l, "a", revocation.Rules{MaxStaleness: time.Hour}) {
		t.Fatal("the index was to hear of nothing")
	}
	if !Denies(t, l, "a", revocation.Rules{MaxStaleness: time.Hour, Strict: true}) {
		t.Fatal("a strict decision did not ask the store")
	}
	if Denies(t, l, "b", revocation.Rules{Strict: true}) {
		t.Fatal("a strict decision denies what nobody revoked")
	}
	Eventually(t, "an index that has heard nothing for too long is not trusted", func() bool {
		return Denies(t, l, "a", revocation.Rules{MaxStaleness: time.Millisecond})
	})
}

// unmended is a store into which nothing is put back, as where that takes its time.
type unmended struct{ revocation.Store }

func (unmended) Restore(ctx context.Context, _ []revocation.Lost) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func emptied(t *testing.T, b Backing) {
	if b.Empty == nil {
		return // this store cannot lose what it has
	}
	s := b.Open(t)
	l := Ledger(t, unmended{s})
	if _, err := l.Revoke(limited(t), []revocation.Revocation{JTI(t, "a")}); err != nil {
		t.Fatal(err)
	}
	b.Empty(t)
	for name, rules := range map[string]revocation.Rules{"strict": {Strict: true}, "too old": {MaxStaleness: time.Nanosecond}} {
		if !Denies(t, l, "a", rules) {
			t.Errorf("%s: who asks an emptied store lets in what the node knows to be revoked", name)
		}
	}
}

func feeding(t *testing.T, b Backing) {
	ctx := limited(t)
	l := Ledger(t, b.Open(t))
	m := revocation.MarksOf(revocation.Subject{Issuer: "app", JTI: "a"})
	names := map[string]bool{}
	for _, name := range l.FeedKeys(nil, &m) {
		names[string(name[:])] = true
	}
	next := func(lines <-chan revocation.Line) revocation.Line {
		t.Helper()
		select {
		case line := <-lines:
			return line
		case <-time.After(patience):
			t.Fatal("the feed says nothing")
			return revocation.Line{}
		}
	}
	lines := l.Feed().Subscribe(ctx, "")
	start := next(lines)
	if !start.Reset || start.Cursor == "" {
		t.Fatalf("without a cursor the feed begins with %+v", start)
	}
	revoke(t, b.Open(t), JTI(t, "a"))
	line := next(lines)
	if line.Reset || len(line.Keys) != 1 || !names[line.Keys[0]] || !Denies(t, l, "a", revocation.Rules{}) {
		t.Fatalf("the feed tells %+v; the session holds %v", line, names)
	}
	// Another node, started later, serves the same cursor and the same names.
	other := Ledger(t, b.Open(t))
	if again := next(other.Feed().Subscribe(ctx, start.Cursor)); again.Reset || again.Keys[0] != line.Keys[0] || again.Cursor != line.Cursor {
		t.Fatalf("another node tells %+v, the first told %+v", again, line)
	}
	if foreign := next(other.Feed().Subscribe(ctx, "0123456789abcdef-1")); !foreign.Reset {
		t.Fatalf("a cursor of another store is answered %+v", foreign)
	}
	// What a subscriber is not there to read is kept for it, and once it is too much it is told to ask about all.
	var rs []revocation.Revocation
	for i := range 700 {
		rs = append(rs, JTI(t, fmt.Sprint(i)))
	}
	revoke(t, b.Open(t), rs...)
	for told := 0; told < len(rs); {
		line := next(lines)
		if line.Reset {
			break // a node that fell behind what the store keeps had to load anew
		}
		told += len(line.Keys)
	}
}

func puttingBack(t *testing.T, b Backing) {
	if b.Empty == nil {
		return // this store cannot lose what it has
	}
	ctx := limited(t)
	one, two := Ledger(t, b.Open(t)), Ledger(t, b.Open(t))
	m := revocation.MarksOf(revocation.Subject{Issuer: "app", JTI: "a"})
	names := one.FeedKeys(nil, &m)
	lifted := JTI(t, "lifted")
	if _, err := one.Revoke(ctx, []revocation.Revocation{JTI(t, "a"), JTI(t, "b"), lifted}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := two.Lift(ctx, lifted.Key(), "cred:lifter"); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "both follow", func() bool { return one.Index().Len() == 2 && two.Index().Len() == 2 })
	b.Empty(t)
	began := time.Now()
	fresh := b.Open(t)
	Eventually(t, "what was lost is put back", func() bool { return len(all(t, fresh)) == 2 })
	if took := time.Since(began); took > 2*heartbeat+2*time.Second {
		t.Errorf("an emptied store was noticed after %s only", took)
	}
	if got, err := fresh.Get(ctx, JTI(t, "a").Key()); err != nil || got.Value != "a" || got.Reason != "leaked" {
		t.Errorf("put back as %+v, %v", got, err)
	}
	if !Denies(t, one, "a", revocation.Rules{}) || !Denies(t, two, "b", revocation.Rules{}) {
		t.Error("a revoked token got in meanwhile")
	}
	later := Ledger(t, b.Open(t))
	if !Denies(t, later, "a", revocation.Rules{}) || !slices.Equal(later.FeedKeys(nil, &m), names) {
		t.Error("a node that starts afterwards does not know what was put back")
	}
}
