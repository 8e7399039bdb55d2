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
)

// benchRate stands in for a verifier under load: workers check signatures at a fixed rate (or as fast as they can) and
// record each, with the audit on and off in turn. It prints what a check took, and what the audit cost beside it.
func benchRate(rate int, each time.Duration, rounds int) error {
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
	var results [2][]load
	for range rounds {
		for on := range 2 {
			r, err := runLoad(rate, each, on == 1, check)
			if err != nil {
				return err
			}
			results[on] = append(results[on], r)
			fmt.Println(r)
		}
	}
	off, on := median(results[0]), median(results[1])
	fmt.Printf("medians: p50 %.2f×, p99 %.2f×, throughput %.2f×, %.2f µs of CPU more for an event (target 6)\n",
		ratio(on.p50, off.p50), ratio(on.p99, off.p99), on.rate()/off.rate(), float64(on.cpuEach()-off.cpuEach())/1000)
	return nil
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// load is what one round gave.
type load struct {
	audit    bool
	checks   int
	wall     time.Duration
	cpu      time.Duration
	p50, p99 time.Duration
	late     time.Duration // how far the last check was behind its time
	waiting  float64       // share of the events that were not in the store at the end
}

func (l load) rate() float64          { return float64(l.checks) / l.wall.Seconds() }
func (l load) cpuEach() time.Duration { return l.cpu / time.Duration(max(l.checks, 1)) }

func (l load) String() string {
	return fmt.Sprintf("audit %-5v %7.0f checks a second, p50 %6.1f µs, p99 %6.1f µs, %6.2f µs of CPU a check, behind by %v, %.0f%% waits in the spill",
		l.audit, l.rate(), float64(l.p50)/1000, float64(l.p99)/1000, float64(l.cpuEach())/1000, l.late.Round(time.Microsecond), 100*l.waiting)
}

func median(all []load) load {
	slices.SortFunc(all, func(a, b load) int { return int(a.p99 - b.p99) })
	return all[len(all)/2]
}

const loaders = 4

func runLoad(rate int, each time.Duration, on bool, check func()) (load, error) {
	record, stored, done, err := openLoad(on)
	if err != nil {
		return load{}, err
	}
	w := newWorld(10_000)
	events := make([]audit.Event, w.rows)
	for n := range events {
		events[n] = w.event(n)
	}
	took := make([][]time.Duration, loaders)
	late := make([]time.Duration, loaders)
	begun, spent := time.Now(), cpu()
	var wg sync.WaitGroup
	for i := range loaders {
		wg.Go(func() {
			for n := 0; ; {
				elapsed := time.Since(begun)
				if elapsed > each {
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
	l := load{audit: on, wall: time.Since(begun), cpu: cpu() - spent, late: slices.Max(late)}
	all := slices.Concat(took...)
	l.checks = len(all)
	l.waiting = stored(l.checks)
	slices.Sort(all)
	l.p50, l.p99 = all[len(all)/2], all[len(all)*99/100]
	return l, done()
}

// openLoad gives the recorder, what share of so many events the store does not have yet, and the end.
func openLoad(on bool) (record func(audit.Event), waiting func(int) float64, done func() error, err error) {
	if !on {
		return func(audit.Event) {}, func(int) float64 { return 0 }, func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "auditbench")
	if err != nil {
		return nil, nil, nil, err
	}
	ctx := context.Background()
	store, err := sqlitestore.Open(ctx, filepath.Join(dir, "audit"), sqlitestore.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := audit.Open(ctx, store, audit.Options{Dir: filepath.Join(dir, "spill"), SpillMax: 1 << 30})
	if err != nil {
		return nil, nil, nil, err
	}
	waiting = func(all int) float64 { return 1 - float64(p.Stored())/float64(max(all, 1)) }
	done = func() error {
		defer os.RemoveAll(dir)
		if err := p.Close(ctx); err != nil {
			return err
		}
		return store.Close()
	}
	return p.Record, waiting, done, nil
}
