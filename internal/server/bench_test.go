package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/sqlitestore"
	"github.com/usher-im/usher/internal/bench"
	"github.com/usher-im/usher/internal/bench/cpu"
	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/token"
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
	h, err := bench.Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := h.Close(); err != nil {
			b.Error(err)
		}
	})
	s := &Server{
		opt: Options{Audit: unrecorded{}}, repeats: newRepeats(time.Minute), metrics: newMetrics(prometheus.NewRegistry()), flood: newFlood(0),
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

// BenchmarkAnswer is the whole door without HTTP: the body of a question in, the body of its answer out.
func BenchmarkAnswer(b *testing.B) {
	for _, c := range []struct {
		name  string
		setUp func(*inner, *testing.B)
	}{
		{"plain", func(*inner, *testing.B) {}},
		{"million", (*inner).revoke},
		{"audited", (*inner).audit},
	} {
		d := newInner(b)
		c.setUp(d, b)
		b.Run(c.name+"/join", func(b *testing.B) { d.ask(b, d.joins(b)) })
		b.Run(c.name+"/warm", func(b *testing.B) { d.ask(b, d.connects(b)) })
		b.Run(c.name+"/cold", func(b *testing.B) { d.ask(b, d.strangers()) })
	}
}

// connects are questions with tokens that were seen before.
func (d *inner) connects(b *testing.B) [][]byte {
	b.Helper()
	var all [][]byte
	for _, raw := range fixture.Tokens(token.RS256, 256, time.Now()) {
		all = append(all, fixture.Connect(raw, fixture.Domain))
	}
	for n := range all {
		d.grant(b, all[n], n)
	}
	return all
}

// joins are questions with the grants of those.
func (d *inner) joins(b *testing.B) [][]byte {
	b.Helper()
	all := d.connects(b)
	for n := range all {
		all[n] = fixture.Join(d.grant(b, all[n], len(all)+n), fixture.Domain)
	}
	return all
}

// strangers are questions with tokens that are new: each under as many hosts as the benchmark could ask about.
func (d *inner) strangers() [][]byte {
	tokens := fixture.Tokens(token.RS256, 256, time.Now())
	all := make([][]byte, 1<<16)
	for n := range all {
		d.hosts++
		all[n] = fixture.Connect(tokens[n%len(tokens)], fixture.Host(d.hosts))
	}
	return all
}

var run uint64

func (d *inner) grant(b *testing.B, question []byte, n int) string {
	b.Helper()
	run++
	fixture.SetID(question, run, uint64(n))
	out, said := d.answer("", question, nil)
	var a struct {
		Allow bool
		Grant string
	}
	if err := json.Unmarshal(out, &a); err != nil || !a.Allow || said != judged {
		b.Fatal(fmt.Errorf("a good token was refused: %s (%v)", out, err))
	}
	return a.Grant
}

// ask puts the questions round and round, each time under a new id. Beside the time that passed it reports what the
// process used, and what the asking thread did.
func (d *inner) ask(b *testing.B, questions [][]byte) {
	b.Helper()
	const batch = 10_000
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	run++
	var out []byte
	var all, own time.Duration
	b.ReportAllocs()
	allStart, ownStart := cpu.Own(), cpu.Thread()
	for n := 0; b.Loop(); n++ {
		q := questions[n%len(questions)]
		fixture.SetID(q, run, uint64(n))
		var how said
		if out, how = d.answer("", q, out[:0]); how != judged || out[len(`{"allow":`)] != 't' {
			b.Fatal(string(out))
		}
		if n%batch == batch-1 {
			b.StopTimer()
			all, own = all+cpu.Own()-allStart, own+cpu.Thread()-ownStart
			d.rest()
			allStart, ownStart = cpu.Own(), cpu.Thread()
			b.StartTimer()
		}
	}
	all, own = all+cpu.Own()-allStart, own+cpu.Thread()-ownStart
	b.ReportMetric(float64(all)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(own)/float64(b.N), "path-ns/op")
}
