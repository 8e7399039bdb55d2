package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/zeebo/xxh3"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/reason"
)

// world makes up events, the same ones every time: thirty days, nine of ten allowed, 5,000 rooms, 200,000 users.
type world struct {
	rows  int
	start time.Time
	step  time.Duration
	// refused: every event is a deny.
	refused bool
}

const (
	rooms     = 5_000
	users     = 200_000
	addresses = 100_000
)

func newWorld(rows int) *world {
	const days = 30 * 24 * time.Hour
	return &world{rows: rows, start: time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC), step: days / time.Duration(rows)}
}

func (w *world) at(n int) time.Time { return w.start.Add(time.Duration(n) * w.step) }
func (w *world) end() time.Time     { return w.at(w.rows) }

func (w *world) k(n int) uint64 { return audit.FirstK(w.at(n)) + uint64(n)&0xfffff }

// random is a number that hangs on n and a purpose alone.
func random(n int, purpose uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	return xxh3.HashSeed(b[:], purpose)
}

// Which room, user and address an event has.
func roomOf(n int) uint64    { return random(n, 1) % rooms }
func userOf(n int) uint64    { return random(n, 2) % users }
func addressOf(n int) uint64 { return random(n, 3) % addresses }

func (w *world) room(n int) string {
	r := roomOf(n)
	return fmt.Sprintf("[tenant%d]meeting-room-%d@conference.meet.example.com", r%50, r)
}

func (w *world) user(n int) string { return fmt.Sprintf("user-%06d", userOf(n)) }

func (w *world) address(n int) string {
	a := addressOf(n)
	return fmt.Sprintf("198.%d.%d.%d", 18+a>>16, a>>8&255, a&255)
}

func (w *world) fingerprint(n int) (f audit.Fingerprint) {
	binary.LittleEndian.PutUint64(f[:], random(n, 4))
	binary.LittleEndian.PutUint64(f[8:], random(n, 5))
	return f
}

func (w *world) jti(n int) string {
	return fmt.Sprintf("%08x-%04x", random(n, 6)>>32, random(n, 7)>>48)
}

// since is the first event of the last so long.
func (w *world) since(d time.Duration) int { return max(0, w.rows-int(d/w.step)) }

// days is how many whole days lie behind, 1 where it is less than one.
func (w *world) days() int { return max(1, int(w.end().Sub(w.start)/(24*time.Hour))) }

// spread gives n events whose values are of every frequency, from the rarest to the most frequent one that the events
// from number from on have.
func (w *world) spread(n, from int, value func(int) uint64) []int {
	type seen struct{ times, event int }
	all := map[uint64]seen{}
	for e := from; e < w.rows; e++ {
		v := value(e)
		all[v] = seen{all[v].times + 1, e}
	}
	ordered := slices.SortedFunc(maps.Values(all), func(a, b seen) int { return cmp.Or(a.times-b.times, a.event-b.event) })
	events := make([]int, n)
	for i := range events {
		events[i] = ordered[i*(len(ordered)-1)/max(n-1, 1)].event
	}
	return mixed(events)
}

// overTime gives n events from all of the time.
func (w *world) overTime(n int) []int {
	events := make([]int, n)
	for i := range events {
		events[i] = (i*w.rows + int(random(i, 100)%uint64(w.rows))) / n
	}
	return mixed(events)
}

// mixed brings events into an order that says nothing.
func mixed(events []int) []int {
	slices.SortFunc(events, func(a, b int) int { return cmp.Compare(random(a, 101), random(b, 101)) })
	return events
}

func (w *world) event(n int) audit.Event {
	at := w.at(n)
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(at))
	binary.LittleEndian.PutUint64(id[8:], random(n, 8))
	room := roomOf(n)
	e := audit.Event{
		Time: at, ID: id.String(), Kind: audit.Decision, Verdict: audit.Allow, Proven: true, Node: "node-a1b2c3", Host: "meet.example.com",
		Profile: "default", Session: fmt.Sprintf("%012x", random(n, 9)>>16), Stage: "join", Issuer: "my-app", Subject: "meet.example.com",
		UserID: w.user(n), Room: w.room(n), Tenant: fmt.Sprintf("tenant%d", room%50), JTI: w.jti(n), Kid: "2026-a", Alg: "RS256",
		Fingerprint: w.fingerprint(n), RemoteIP: w.address(n), LatencyUS: int64(20 + random(n, 10)%100),
		UserAgent: fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", 80+random(n, 11)%60),
	}
	if w.refused || random(n, 12)%10 == 0 {
		why := reason.All()[1+random(n, 13)%20]
		e.Verdict, e.Reason, e.Detail = audit.Deny, why.Code, "the claim says one thing, the question another"
	}
	return e
}
