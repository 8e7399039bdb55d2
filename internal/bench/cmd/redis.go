package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/usher-im/usher/internal/bench/load"
	"github.com/usher-im/usher/internal/bench/report"
	"github.com/usher-im/usher/internal/e2e/redisserver"
	"github.com/usher-im/usher/internal/token"
)

// redis repeats the http part's main loads with the revocations in Redis: with the index, which follows Redis and asks
// it nothing, and in strict mode, which asks it in every decision; and both with a millisecond more between the two.
func (r *run) redis() error {
	dir, err := r.folder("redis")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx, 30*time.Second)
	defer cancel()
	server, err := redisserver.Start(ctx, dir)
	if err != nil {
		return err
	}
	r.atEnd(func() { _ = server.Stop() })
	far, err := delayed(fmt.Sprintf("127.0.0.1:%d", server.Port), time.Millisecond)
	if err != nil {
		return err
	}
	r.atEnd(far.close)
	near, slow := server.URL(), "redis://"+far.Addr().String()+"/0"

	embedded, err := r.serve("usher with SQLite")
	if err != nil {
		return err
	}
	var all contests
	seen, fresh := r.closed(load.Seen, token.RS256, 16), r.closed(load.New, token.RS256, 16)
	floorSeen, floorFresh := all.add(embedded, seen), all.add(embedded, fresh)
	type pair struct {
		what        string
		seen, fresh *contest
	}
	var pairs []pair
	for _, mode := range []struct {
		what  string
		flags []string
	}{
		{"index", []string{"--redis=" + near}},
		{"index, Redis 1 ms away", []string{"--redis=" + slow}},
		{"strict", []string{"--redis=" + near, "--strict"}},
		{"strict, Redis 1 ms away", []string{"--redis=" + slow, "--strict"}},
	} {
		usher, err := r.serve("usher with Redis, "+mode.what, mode.flags...)
		if err != nil {
			return err
		}
		pairs = append(pairs, pair{mode.what, all.add(usher, seen), all.add(usher, fresh)})
	}
	if err := all.measure(r); err != nil {
		return err
	}
	for _, p := range pairs {
		r.redisRows(p.what+", all seen", p.seen, floorSeen)
		r.redisRows(p.what+", all new", p.fresh, floorFresh)
	}
	return nil
}

func (r *run) redisRows(what string, a, embedded *contest) {
	mine, theirs := a.each(perRequest), embedded.each(perRequest)
	r.report.Add(report.Row{Part: "redis", What: what + ": CPU, against SQLite", Unit: "×", Rounds: report.Ratios(mine, theirs),
		Beside: fmt.Sprintf("%.1f over %.1f µs a request", report.Median(mine), report.Median(theirs))})
	r.report.Add(report.Row{Part: "redis", What: what + ": requests a second", Unit: "a second", Rounds: a.each(rate),
		Beside: fmt.Sprintf("%.0f with SQLite", report.Median(embedded.each(rate)))})
	r.report.Add(report.Row{Part: "redis", What: what + ": p99", Unit: "µs", Rounds: a.each(p99),
		Beside: fmt.Sprintf("%.0f with SQLite", report.Median(embedded.each(p99)))})
}

// road is a way to a server that takes its time: what goes in comes out half a round trip later, in either direction.
type road struct {
	net.Listener
	to    string
	delay time.Duration
	mu    sync.Mutex
	open  []net.Conn
}

func delayed(to string, roundTrip time.Duration) (*road, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	d := &road{Listener: ln, to: to, delay: roundTrip / 2}
	go d.run()
	return d, nil
}

func (d *road) run() {
	for {
		in, err := d.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", d.to)
		if err != nil {
			in.Close()
			continue
		}
		d.mu.Lock()
		d.open = append(d.open, in, out)
		d.mu.Unlock()
		go d.carry(in, out)
		go d.carry(out, in)
	}
}

type parcel struct {
	due  time.Time
	data []byte
}

// carry moves bytes one way. Whoever sends does not wait for those who are on the way.
func (d *road) carry(from, to net.Conn) {
	way := make(chan parcel, 1024)
	go func() {
		defer to.Close()
		for p := range way {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				from.Close() // and so the other end hears of it
			}
		}
	}()
	defer close(way)
	for {
		data := make([]byte, 16<<10)
		n, err := from.Read(data)
		if n > 0 {
			way <- parcel{time.Now().Add(d.delay), data[:n]}
		}
		if err != nil {
			return
		}
	}
}

func (d *road) close() {
	d.Listener.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.open {
		c.Close()
	}
}
