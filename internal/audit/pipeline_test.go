package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/usher-im/usher/internal/e2e/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a store that can be away, and that can take a batch and fail to say so.
type shelf struct {
	Store
	mu   sync.Mutex
	away bool
	mute bool // takes the next batch, then fails once
	lost bool // has less than it had, and says so at the next batch
	rows []Row
}

var errAway = errors.New("the shelf is away")

func (s *shelf) Append(_ context.Context, rows []Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	if s.lost {
		s.lost = false
		return ErrLost
	}
	for _, r := range rows {
		s.rows = append(s.rows, Row{K: r.K, Data: bytes.Clone(r.Data)})
	}
	if s.mute {
		s.mute = false
		return errAway
	}
	return nil
}

func (s *shelf) Last(context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return 0, errAway
	}
	if len(s.rows) == 0 {
		return 0, nil
	}
	return s.rows[len(s.rows)-1].K, nil
}

func (s *shelf) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *shelf) events(t *testing.T) []Event {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Event
	var before uint64
	for _, r := range s.rows {
		if r.K <= before {
			t.Errorf("K %d after %d", r.K, before)
		}
		before = r.K
		e, err := Unpack(r.Data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func start(t *testing.T, store Store, opt Options) (*Pipeline, *proc.Log) {
	t.Helper()
	log := &proc.Log{}
	opt.Logger = slog.New(slog.NewTextHandler(log, nil))
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	if opt.SpillMax == 0 {
		opt.SpillMax = 64 << 20
	}
	if opt.Now == nil {
		opt.Now = func() time.Time { return noon } // most events of these tests are of then
	}
	p, err := Open(t.Context(), store, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Close(ctx)
	})
	return p, log
}

func numbered(n int) Event {
	return Event{Time: noon, ID: NewID(noon), Kind: Decision, Verdict: Allow, Detail: fmt.Sprint(n)}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// drained waits until everything recorded before it is in the spill, or shed.
func drained(p *Pipeline) {
	reply := make(chan uint64)
	p.flush <- reply
	<-reply
}

func flush(t *testing.T, p *Pipeline) {
	t.Helper()
	if err := p.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
}

func wantNumbered(t *testing.T, events []Event, n int) {
	t.Helper()
	if len(events) != n {
		t.Errorf("%d events, want %d", len(events), n)
	}
	for i, e := range events {
		if e.Detail != fmt.Sprint(i) {
			t.Fatalf("event %d is %s", i, e.Detail)
		}
	}
}

func TestPipeline_EveryEventIsStoredOnceAndInOrder(t *testing.T) {
	store := &shelf{}
	p, _ := start(t, store, Options{Node: "n1"})
	for i := range 5000 {
		p.Record(numbered(i))
	}
	flush(t, p)
	wantNumbered(t, store.events(t), 5000)
	if e := store.events(t)[0]; e.Node != "n1" || !e.Time.Equal(noon) {
		t.Errorf("the node and the time were lost: %+v", e)
	}
}

// Questions wait for it.
func TestPipeline_FlushWaitsNoLongerThanAskedForADiskThatHangs(t *testing.T) {
	p := &Pipeline{flush: make(chan chan uint64), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-p.flush // and what is in the queue is being written
		cancel()
	}()
	ended := make(chan error, 1)
	go func() { ended <- p.Flush(ctx) }()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-soon(t).Done():
		t.Fatal("Flush still waits")
	}
}

func TestPipeline_StoreAwayLosesNothing(t *testing.T) {
	store := &shelf{away: true}
	p, log := start(t, store, Options{})
	for i := range 3000 {
		p.Record(numbered(i))
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := p.Flush(short); err == nil {
		t.Error("Flush says that a store that is away has everything")
	}
	if _, err := log.Wait(soon(t), "does not take events"); err != nil {
		t.Fatal(err)
	}
	store.set(func() { store.away = false })
	for i := range 1000 {
		p.Record(numbered(3000 + i))
	}
	flush(t, p)
	wantNumbered(t, store.events(t), 4000)
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("an outage and its end took %d lines:\n%s", n, log)
	}
}

func TestPipeline_BatchOfUnknownFateIsNotStoredTwice(t *testing.T) {
	store := &shelf{mute: true}
	p, _ := start(t, store, Options{})
	for i := range 100 {
		p.Record(numbered(i))
	}
	flush(t, p)
	wantNumbered(t, store.events(t), 100)
}

func TestPipeline_StoreGetsAgainWhatItHasLost(t *testing.T) {
	store := &shelf{}
	p, log := start(t, store, Options{})
	for i := range 3000 {
		p.Record(numbered(i))
	}
	flush(t, p)
	for n, left := range []int{2000, 0} {
		store.set(func() { store.rows, store.lost = store.rows[:left], true })
		p.Record(numbered(3000 + n))
		flush(t, p)
	}
	wantNumbered(t, store.events(t), 3002)
	if n := strings.Count(log.String(), "has lost events"); n != 2 || strings.Count(log.String(), "\n") != n {
		t.Errorf("the log says %d times that events were lost:\n%s", n, log)
	}
}

func TestPipeline_NextProcessDrainsWhatTheLastOneLeft(t *testing.T) {
	dir := t.TempDir()
	store := &shelf{away: true}
	p, _ := start(t, store, Options{Dir: dir})
	for i := range 2000 {
		p.Record(numbered(i))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Close(ended); err == nil {
		t.Error("Close says that a store that is away has everything")
	}
	store.set(func() { store.away = false })
	again, _ := start(t, store, Options{Dir: dir})
	again.Record(numbered(2000))
	flush(t, again)
	wantNumbered(t, store.events(t), 2001)
	if err := again.Close(soon(t)); err != nil {
		t.Fatal(err)
	}
	third, _ := start(t, store, Options{Dir: dir})
	third.Record(numbered(2001))
	flush(t, third)
	wantNumbered(t, store.events(t), 2002)
}

func TestPipeline_StopsWithoutLossWhereTheDiskHasRoomAgain(t *testing.T) {
	dir := t.TempDir()
	store := &shelf{away: true}
	p, _ := start(t, store, Options{Dir: dir})
	var room atomic.Int64
	room.Store(1000)
	p.spill.openFile = func(path string) (appendFile, error) {
		f, err := appendOnly(path)
		return narrow{f, &room}, err
	}
	for i := range 2000 {
		p.Record(numbered(i))
	}
	for reply := make(chan uint64, 1); ; { // all of it has come as far as it comes
		p.flush <- reply
		if <-reply; p.recorded.Load() == 2000 {
			break
		}
	}
	room.Store(1 << 30)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Close(ended); err == nil || strings.Contains(err.Error(), "lost") {
		t.Errorf("Close says %v, want only that the store has not taken all", err)
	}
	store.set(func() { store.away = false })
	again, _ := start(t, store, Options{Dir: dir})
	again.Record(numbered(2000))
	flush(t, again)
	wantNumbered(t, store.events(t), 2001)
}

// narrow is a file on a disk whose room changes.
type narrow struct {
	appendFile
	room *atomic.Int64
}

func (f narrow) Write(b []byte) (int, error) {
	if f.room.Add(-int64(len(b))) < 0 {
		return 0, syscall.ENOSPC
	}
	return f.appendFile.Write(b)
}

func TestPipeline_ClockSetBackHidesNoEvent(t *testing.T) {
	dir := t.TempDir()
	store := &shelf{}
	for i := range 3 {
		p, _ := start(t, store, Options{Dir: dir})
		e := numbered(i)
		e.Time = noon.Add(-time.Duration(i) * time.Hour)
		p.Record(e)
		flush(t, p)
		if err := p.Close(soon(t)); err != nil {
			t.Fatal(err)
		}
	}
	wantNumbered(t, store.events(t), 3)
}

func TestPipeline_ClockFarAheadHidesNoEvent(t *testing.T) {
	store := &shelf{}
	p, _ := start(t, store, Options{})
	for i, at := range []time.Time{noon, time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), noon} {
		e := numbered(i)
		e.Time, e.ID = at, NewID(at)
		p.Record(e)
	}
	flush(t, p)
	wantNumbered(t, store.events(t), 4)
	for i, row := range store.rows {
		if row.K >= LastK {
			t.Errorf("event %d has the key %x, where no question looks", i, row.K)
		}
	}
}

func TestPipeline_ShedsOnlyPastTheDiskBoundAndCounts(t *testing.T) {
	store := &shelf{away: true}
	p, log := start(t, store, Options{SpillMax: 2 * drainBytes}) // the newest file stays, and may be as large as one write
	const all = 20_000
	for i := range all {
		p.Record(numbered(i))
	}
	drained(p)
	shed, kept := p.shed.Load(), p.recorded.Load()
	if shed == 0 || kept == 0 || shed+kept != all {
		t.Fatalf("%d kept and %d shed of %d", kept, shed, all)
	}
	if !strings.Contains(log.String(), "raise audit.spill_max") {
		t.Errorf("the log does not say what to do:\n%s", log)
	}
	store.set(func() { store.away = false })
	flush(t, p)
	if got := len(store.events(t)); got != int(kept) {
		t.Errorf("%d events in the store, want the %d that were kept", got, kept)
	}
	before := p.shed.Load()
	for i := range 1000 {
		p.Record(numbered(i))
	}
	flush(t, p)
	if p.shed.Load() != before {
		t.Error("sheds although the store is back and the spill empty")
	}
}

func TestPipeline_RecordDoesNotAllocate(t *testing.T) {
	p, _ := start(t, &shelf{away: true}, Options{})
	e := full()
	if n := testing.AllocsPerRun(1000, func() { p.Record(e) }); n > 0.01 {
		t.Errorf("%v allocations", n)
	}
}

func TestPipeline_NamesAreKeptOnlyIfConfigured(t *testing.T) {
	for _, names := range []bool{false, true} {
		store := &shelf{}
		p, _ := start(t, store, Options{Names: names})
		p.Record(full())
		flush(t, p)
		e := store.events(t)[0]
		if kept := e.UserName != "" && e.UserEmail != ""; kept != names {
			t.Errorf("names: %v kept %q and %q", names, e.UserName, e.UserEmail)
		}
	}
}

func TestPipeline_PseudonymsReachTheSpillAlready(t *testing.T) {
	store := &shelf{}
	dir := t.TempDir()
	hide := NewPseudonyms([]byte("a key of our own"))
	p, _ := start(t, store, Options{Dir: dir, Pseudonyms: hide, Names: true})
	e := full()
	e.UserID, e.Subject, e.RemoteIP = "mallory-77", "mallory-77", "198.51.100.23"
	e.Detail = "mallory-77 at 198.51.100.23 is not on the list"
	p.Record(e)
	flush(t, p)
	for _, row := range store.rows {
		for _, secret := range []string{"mallory", "198.51.100", "Ada"} {
			if bytes.Contains(row.Data, []byte(secret)) {
				t.Errorf("%s is in the row", secret)
			}
		}
	}
	got := store.events(t)[0]
	if got.UserID != hide.User("mallory-77") || got.Subject != got.UserID || got.RemoteIP != hide.Address("198.51.100.23") {
		t.Errorf("who has the value does not find %+v", got)
	}
	if NewPseudonyms([]byte("another")).User("mallory-77") == got.UserID {
		t.Error("the key does not matter")
	}
}

func TestPipeline_LongUsersHaveThePseudonymTheyAreLookedForBy(t *testing.T) {
	store, hide := &shelf{}, NewPseudonyms([]byte("a key of our own"))
	p, _ := start(t, store, Options{Pseudonyms: hide})
	e := numbered(1)
	e.UserID = strings.Repeat("long", 70)
	e.Subject = e.UserID
	p.Record(e)
	flush(t, p)
	want := hide.User(e.UserID)
	if got := store.events(t)[0]; got.UserID != want || got.Subject != want {
		t.Errorf("recorded as %s and %s, looked for as %s", got.UserID, got.Subject, want)
	}
	if other := hide.User(e.UserID + "er"); other == want {
		t.Error("two long users have one pseudonym")
	}
}

func TestPipeline_MetricsAreSoundAndCount(t *testing.T) {
	p, _ := start(t, &shelf{}, Options{})
	for i := range 10 {
		p.Record(numbered(i))
	}
	flush(t, p)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(p)
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	want := "# HELP usher_audit_stored_events_total Events that the audit store has taken.\n# TYPE usher_audit_stored_events_total counter\nusher_audit_stored_events_total 10\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "usher_audit_stored_events_total"); err != nil {
		t.Error(err)
	}
}

func TestPacer_GivesWayOnASaturatedMachineUntilTheSpillFills(t *testing.T) {
	idle := func(share float64) func() usage {
		at := time.Now()
		var u usage
		return func() usage {
			at = at.Add(time.Second)
			u = usage{at: at, cores: 2, idle: u.idle + time.Duration(share*2*float64(time.Second))}
			return u
		}
	}
	rest := func(spare, fill float64) time.Duration {
		p := Pacer{measure: idle(spare)}
		p.Rest(0, 0)
		p.asked = time.Time{}
		return p.Rest(time.Millisecond, fill)
	}
	if got := rest(0.5, 0); got != 0 {
		t.Errorf("rests %v although half the machine is free", got)
	}
	full, half, alarmed := rest(0, 0.1), rest(0, 0.7), rest(0, 0.95)
	if full != 9*time.Millisecond || half <= 0 || half >= full || alarmed != 0 {
		t.Errorf("a millisecond's work is followed by %v, at 70%% of the spill by %v, at 95%% by %v", full, half, alarmed)
	}
	if u := measureUsage(); u.cores < 1 || u.process <= 0 {
		t.Errorf("the machine measures as %+v", u)
	}
}

func BenchmarkRecord(b *testing.B) {
	p, err := Open(b.Context(), &shelf{away: true}, Options{Dir: b.TempDir(), SpillMax: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Close(ctx)
	}()
	e := full()
	b.ReportAllocs()
	for b.Loop() {
		p.Record(e)
	}
}
