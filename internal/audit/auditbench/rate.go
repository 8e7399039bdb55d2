package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/sqlitestore"
	"github.com/usher-im/usher/internal/memory"
)

// benchRate stands in for a verifier under load: workers check signatures at a fixed rate (or as fast as they can) and
// record each, with the audit on and off in turn. It prints what a check took, and what the audit cost beside it.
func benchRate(rate, seconds, rounds int) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte("a signing input"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return err
	}
	check := func() { _ = rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature) }
	memory.Govern() // as `usher serve` does
	trail, err := openTrail()
	if err != nil {
		return err
	}
	defer trail.remove()
	events := make([]audit.Event, 10_000)
	for n, w := 0, newWorld(len(events)); n < len(events); n++ {
		events[n] = w.event(n)
	}
	var p50, p99, throughput, more []float64
	for range rounds {
		on, off := load{trail: trail}, load{}
		// By turns of a second, of which the outer two are off and the inner two on: what a neighbour on this machine takes
		// changes more from one six seconds to the next than the audit costs.
		for turn := range 2 * seconds {
			l := &off
			if turn%4 == 1 || turn%4 == 2 {
				l = &on
			}
			if err := l.run(rate, check, events); err != nil {
				return err
			}
		}
		for _, l := range []*load{&off, &on} {
			l.sum()
			fmt.Println(l)
		}
		p50, p99 = append(p50, ratio(on.p50, off.p50)), append(p99, ratio(on.p99, off.p99))
		throughput = append(throughput, on.rate()/off.rate())
		more = append(more, float64(on.cpuEach()-off.cpuEach())/1000)
	}
	fmt.Printf("medians of %d rounds: p50 %.2f×, p99 %.2f× (target 1.10), throughput %.2f×, %.2f µs of CPU more for an event (target 6); %d events\n",
		rounds, median(p50), median(p99), median(throughput), median(more), trail.pipeline.Stored())
	if err := trail.close(); err != nil {
		return err
	}
	if rate > 0 && (median(p50) > 1.1 || median(p99) > 1.1 || median(more) > 6) {
		return fmt.Errorf("a figure was missed")
	}
	return nil
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func median(all []float64) float64 {
	slices.Sort(all)
	return (all[len(all)/2] + all[(len(all)-1)/2]) / 2
}

// load is half a round, and what it gave.
type load struct {
	trail    *trail // nil: the audit is off
	took     []time.Duration
	wall     time.Duration
	cpu      time.Duration
	p50, p99 time.Duration
	late     time.Duration // how far the last check was behind its time
	stored   int64         // events that were in the store when their turn ended
}

// slot is how long the audit is on or off at a time.
const slot = time.Second

func (l *load) rate() float64          { return float64(len(l.took)) / l.wall.Seconds() }
func (l *load) cpuEach() time.Duration { return l.cpu / time.Duration(max(len(l.took), 1)) }

func (l *load) String() string {
	waiting := 0.0
	if l.trail != nil {
		waiting = 100 * (1 - float64(l.stored)/float64(max(len(l.took), 1)))
	}
	return fmt.Sprintf("audit %-5v %7.0f checks a second, p50 %6.1f µs, p99 %6.1f µs, %6.2f µs of CPU a check, behind by %v, %.0f%% waits in the spill",
		l.trail != nil, l.rate(), float64(l.p50)/1000, float64(l.p99)/1000, float64(l.cpuEach())/1000, l.late.Round(time.Microsecond), waiting)
}

// sum is for when all turns are over.
func (l *load) sum() {
	slices.Sort(l.took)
	l.p50, l.p99 = l.took[len(l.took)/2], l.took[len(l.took)*99/100]
}

const loaders = 4

// run is one turn.
func (l *load) run(rate int, check func(), events []audit.Event) error {
	record := func(audit.Event) {}
	var before int64
	if l.trail != nil {
		record, before = l.trail.pipeline.Record, l.trail.pipeline.Stored()
	}
	took := make([][]time.Duration, loaders)
	late := make([]time.Duration, loaders)
	begun, spent := time.Now(), cpu()
	var wg sync.WaitGroup
	for i := range loaders {
		wg.Go(func() {
			for n := 0; ; {
				elapsed := time.Since(begun)
				if elapsed > slot {
					return
				}
				due := int(elapsed.Seconds() * float64(rate) / loaders)
				if rate == 0 {
					due = n + 64
				}
				for ; n < due; n++ {
					at := time.Now()
					check()
					e := &events[(n*loaders+i)%len(events)]
					e.Time, e.ID = at, audit.NewID(at)
					record(*e)
					took[i] = append(took[i], time.Since(at))
				}
				if rate > 0 {
					late[i] = time.Since(begun) - time.Duration(float64(n)*loaders/float64(rate)*float64(time.Second))
					time.Sleep(200 * time.Microsecond)
				}
			}
		})
	}
	wg.Wait()
	l.wall += time.Since(begun)
	l.late = max(l.late, slices.Max(late))
	if l.trail != nil {
		l.stored += l.trail.pipeline.Stored() - before
		if err := l.trail.settle(); err != nil { // what these events cost belongs to them, also where it comes later
			return err
		}
	}
	l.cpu += cpu() - spent
	l.took = slices.Concat(append(took, l.took)...)
	return nil
}

// trail is an audit in a folder of its own.
type trail struct {
	dir      string
	store    *sqlitestore.Store
	pipeline *audit.Pipeline
}

func openTrail() (*trail, error) {
	dir, err := os.MkdirTemp("", "auditbench")
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	store, err := sqlitestore.Open(ctx, filepath.Join(dir, "audit"), sqlitestore.Options{})
	if err != nil {
		return nil, err
	}
	p, err := audit.Open(ctx, store, audit.Options{Dir: filepath.Join(dir, "spill"), SpillMax: 1 << 30})
	if err != nil {
		return nil, err
	}
	return &trail{dir, store, p}, nil
}

// settle waits until everything is stored, and every slice but the newest sealed.
func (t *trail) settle() error {
	ctx := context.Background()
	if err := t.pipeline.Flush(ctx); err != nil {
		return err
	}
	return t.store.Settle(ctx)
}

func (t *trail) close() error {
	if err := t.pipeline.Close(context.Background()); err != nil {
		return err
	}
	return t.store.Close()
}

func (t *trail) remove() { os.RemoveAll(t.dir) }
