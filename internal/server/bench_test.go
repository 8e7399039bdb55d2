package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/sqlitestore"
	"github.com/usher-im/usher/internal/bench"
	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/bench/floor"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/memory"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/wire"
)

// inner is a server without its listeners, on real keys and a real store: a body goes in, and a body comes out.
type inner struct {
	*Server
	house *bench.House
	hosts int // that have been given to strangers
	// rest lets the audit catch up: in a closed loop it gets a hundred times the events that it ever would.
	rest func()
}

// unrecorded is an audit that is off.
type unrecorded struct{}

func (unrecorded) Record(audit.Event) {}

func newInner(b *testing.B) *inner {
	b.Helper()
	h, err := bench.Open(b.Context(), bench.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := h.Close(); err != nil {
			b.Error(err)
		}
	})
	s := &Server{
		opt: Options{Config: h.Config, Audit: unrecorded{}}, repeats: newRepeats(time.Minute), metrics: newMetrics(prometheus.NewRegistry()), flood: newFlood(0),
	}
	s.SetRules(h.Config, h.Door)
	return &inner{Server: s, house: h, rest: func() {}}
}

// revoke loads a million revocations of others.
func (d *inner) revoke(b *testing.B) {
	b.Helper()
	if err := bench.FillIndex(d.house.Ledger.Index(), 1_000_000); err != nil {
		b.Fatal(err)
	}
}

// audit turns the audit on, with its store.
func (d *inner) audit(b *testing.B) {
	b.Helper()
	store, err := sqlitestore.Open(b.Context(), b.TempDir(), sqlitestore.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	p, err := audit.Open(b.Context(), store, audit.Options{Dir: b.TempDir(), SpillMax: 1 << 30, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	d.opt.Audit = p
	d.rest = func() {
		if err := p.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			b.Error(err)
		}
		store.Close()
	})
}

// BenchmarkAnswer is the whole door without HTTP: the body of a question in, the body of its answer out. judge is the
// verdict alone with what is counted and recorded of it, for tokens that were seen before.
func BenchmarkAnswer(b *testing.B) {
	memory.Govern()
	for _, c := range []struct {
		name  string
		setUp func(*inner, *testing.B)
	}{
		{"plain", func(*inner, *testing.B) {}},
		{"million", (*inner).revoke},
		{"audited", (*inner).audit},
		{"all", func(d *inner, b *testing.B) { d.revoke(b); d.audit(b) }},
	} {
		d := newInner(b)
		c.setUp(d, b)
		connects := d.connects(b)
		b.Run(c.name+"/judge", func(b *testing.B) { d.judge(b, connects) })
		b.Run(c.name+"/warm", func(b *testing.B) { d.ask(b, connects) })
		b.Run(c.name+"/join", func(b *testing.B) { d.ask(b, d.joins(b, connects)) })
		b.Run(c.name+"/bare", bare)
		d.fill(b)
		b.Run(c.name+"/cold", d.cold)
	}
}

// bare is the standard library's check of the signature alone, beside cold.
func bare(b *testing.B) {
	raw := fixture.Token(token.RS256, 0, time.Now())
	dot := strings.LastIndexByte(raw, '.')
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	_, key := fixture.Key(token.RS256)
	signed := []byte(raw[:dot])
	measure(b, func() {}, func(int) {
		if !floor.Good(key, signed, signature) {
			b.Fatal("the signature is good")
		}
	})
}

// connects are questions with tokens that were seen before.
func (d *inner) connects(b *testing.B) [][]byte {
	b.Helper()
	var all [][]byte
	for _, raw := range fixture.Tokens(token.RS256, 256, time.Now()) {
		all = append(all, fixture.Connect(raw, fixture.Host(0)))
	}
	for n := range all {
		d.grant(b, all[n], n)
	}
	return all
}

// joins are questions with the grants of those.
func (d *inner) joins(b *testing.B, connects [][]byte) [][]byte {
	b.Helper()
	all := make([][]byte, len(connects))
	for n := range all {
		all[n] = fixture.Join(d.grant(b, connects[n], n), fixture.Host(0))
	}
	return all
}

// fill shows so many tokens that the cache of proven tokens is full, as it is on a node that has been up for a day: a new
// token makes an old one go.
func (d *inner) fill(b *testing.B) {
	b.Helper()
	strange := d.strangers(token.HS256)
	for n := range 50_000 {
		strange(n)
	}
	d.rest()
}

// cold shows tokens that are new: each under as many hosts as the benchmark could ask about.
func (d *inner) cold(b *testing.B) {
	b.Helper()
	measure(b, d.rest, d.strangers(token.RS256))
}

// strangers gives what asks about the n-th new token.
func (d *inner) strangers(alg token.Algorithm) func(n int) {
	var all [][]byte
	for _, raw := range fixture.Tokens(alg, 256, time.Now()) {
		all = append(all, fixture.Connect(raw, fixture.Host(0)))
	}
	at := make([]int, len(all))
	for n := range all {
		at[n] = fixture.HostAt(all[n])
	}
	run++
	var out []byte
	return func(n int) {
		i := n % len(all)
		if i == 0 {
			d.hosts++
		}
		fixture.SetHost(all[i], at[i], d.hosts)
		fixture.SetID(all[i], run, uint64(n))
		out = mustAllow(d.answer("", all[i], wire.JSON, out[:0]))
	}
}

func mustAllow(out []byte, how said) []byte {
	if how != judged || out[len(`{"allow":`)] != 't' {
		panic(string(out))
	}
	return out
}

var run uint64

func (d *inner) grant(b *testing.B, question []byte, n int) string {
	b.Helper()
	run++
	fixture.SetID(question, run, uint64(n))
	out, said := d.answer("", question, wire.JSON, nil)
	var a struct {
		Allow bool
		Grant string
	}
	if err := json.Unmarshal(out, &a); err != nil || !a.Allow || said != judged {
		b.Fatal(fmt.Errorf("a good token was refused: %s (%v)", out, err))
	}
	return a.Grant
}

// ask puts the questions round and round, each time under a new id.
func (d *inner) ask(b *testing.B, questions [][]byte) {
	b.Helper()
	run++
	var out []byte
	measure(b, d.rest, func(n int) {
		q := questions[n%len(questions)]
		fixture.SetID(q, run, uint64(n))
		out = mustAllow(d.answer("", q, wire.JSON, out[:0]))
	})
}

func (d *inner) judge(b *testing.B, questions [][]byte) {
	b.Helper()
	id := audit.NewID(time.Now())
	qs := make([]decide.Question, len(questions))
	for n, body := range questions {
		var err error
		if qs[n], err = wire.ParseQuestion(body); err != nil {
			b.Fatal(err)
		}
	}
	measure(b, d.rest, func(n int) {
		now := time.Now()
		q := &qs[n%len(qs)]
		v := d.decide(q, now)
		if v.Problem != nil {
			b.Fatal(v.Problem)
		}
		d.settle(q, &v, id, now)
	})
}

// measure runs do for as long as the benchmark wants, with a rest now and then that does not count. Beside the time that
// passed it reports what the process used, and what the thread did that runs it.
func measure(b *testing.B, rest func(), do func(n int)) {
	b.Helper()
	const batch = 10_000
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, own time.Duration
	b.ReportAllocs()
	allStart, ownStart := cpu.Own(), cpu.Thread()
	for n := 0; b.Loop(); n++ {
		do(n)
		if n%batch == batch-1 {
			b.StopTimer()
			all, own = all+cpu.Own()-allStart, own+cpu.Thread()-ownStart
			rest()
			allStart, ownStart = cpu.Own(), cpu.Thread()
			b.StartTimer()
		}
	}
	all, own = all+cpu.Own()-allStart, own+cpu.Thread()-ownStart
	b.ReportMetric(float64(all)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(own)/float64(b.N), "path-ns/op")
}
