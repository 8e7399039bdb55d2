// Command auditbench measures the audit stores at size: what an event costs to keep, how many bytes it takes, and how
// long questions take, warm and cold. The figures that the project promises are checked; it exits with 1 where one is
// missed.
//
//	go run ./internal/audit/auditbench                       10 million events in SQLite
//	go run ./internal/audit/auditbench -redis HOST:PORT      1 million refused ones in Redis
//	go run ./internal/audit/auditbench -rate 20000           beside signature checks at a fixed rate
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/sqlitestore"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	rows := flag.Int("rows", 0, "events; 0: 10,050,000 in SQLite, 1,000,000 in Redis")
	dir := flag.String("dir", "", "folder for the SQLite files; kept and used again where it is there already")
	address := flag.String("redis", "", "a Redis to fill, which must be empty")
	runs := flag.Int("runs", 200, "questions of each kind")
	one := flag.String("one", "", "ask one question of cold files, and print its microseconds and what it found (used for the cold figures)")
	rate := flag.Int("rate", -1, "instead of all that: record this many a second beside signature checks, 0: as fast as they go")
	seconds := flag.Int("seconds", 20, "for how many seconds a round with -rate has the audit off, and for how many on")
	rounds := flag.Int("rounds", 15, "how many rounds with -rate, the audit off and on by turns; the store goes on from round to round")
	profile := flag.String("cpuprofile", "", "write a CPU profile of all this")
	event := flag.Int("event", 0, "whose values to ask for, with -one")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	switch {
	case *rate >= 0:
		return benchRate(*rate, max(*seconds, 1), *rounds)
	case *one != "":
		return askOne(*dir, newWorld(*rows), *one, *event)
	case *address != "":
		return benchRedis(*address, orElse(*rows, 1_000_000), *runs)
	}
	return benchSQLite(*dir, orElse(*rows, 10_050_000), *runs)
}

func orElse(n, other int) int {
	if n == 0 {
		return other
	}
	return n
}

func cpu() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func benchSQLite(dir string, rows, runs int) error {
	if dir == "" {
		made, err := os.MkdirTemp("", "auditbench")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made)
		dir = made
	}
	w := newWorld(rows)
	var fill figures
	if names, _ := filepath.Glob(filepath.Join(dir, "*.audit")); len(names) == 0 {
		var err error
		if fill, err = fillSQLite(dir, w); err != nil {
			return err
		}
		fmt.Println(fill)
	}
	if err := loadPages(dir); err != nil {
		return err
	}
	store, err := sqlitestore.Open(context.Background(), dir, options(w))
	if err != nil {
		return err
	}
	defer store.Close()
	last, err := store.Last(context.Background()) // as a pipeline does first of all
	if err != nil {
		return err
	}
	if err := describe(dir, w, last); err != nil {
		return err
	}
	missed, err := ask(store, w, runs)
	if err != nil {
		return err
	}
	cold, err := askCold(dir, w)
	if err != nil {
		return err
	}
	if missed || cold || fill.missed() {
		return fmt.Errorf("a figure was missed")
	}
	return nil
}

// options has the store believe that the last event is of this moment: a day later the newest file would be closed, and
// get its index, although it is not full.
func options(w *world) sqlitestore.Options {
	return sqlitestore.Options{Now: func() time.Time { return w.end() }}
}

// describe says what the folder holds, and refuses one with other events.
func describe(dir string, w *world, last uint64) error {
	if last != w.k(w.rows-1) {
		return fmt.Errorf("%s holds other events than these %d: give another -dir, or delete it", dir, w.rows)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.audit"))
	if err != nil {
		return err
	}
	path := names[len(names)-1]
	if _, err := os.Stat(path + ".index"); err == nil {
		return fmt.Errorf("the newest file, %s, has its index: a file that is being filled has none, and takes longer to search", path)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		return err
	}
	defer db.Close()
	var newest int
	if err := db.QueryRow("SELECT count(*) FROM rows").Scan(&newest); err != nil {
		return err
	}
	fmt.Printf("%d events in %d files, %d of them in the newest, which has no index yet\n", w.rows, len(names), newest)
	return nil
}

func fillSQLite(dir string, w *world) (figures, error) {
	ctx := context.Background()
	store, err := sqlitestore.Open(ctx, dir, options(w))
	if err != nil {
		return figures{}, err
	}
	f, err := fill(ctx, store, w)
	if err != nil {
		return f, err
	}
	if err := store.Settle(ctx); err != nil {
		return f, err
	}
	f.cpu = cpu() - f.begun
	if _, err := store.Last(ctx); err != nil {
		return f, err
	}
	if err := store.Close(); err != nil {
		return f, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			f.bytes += info.Size()
		}
	}
	return f, err
}

// figures is what filling a store cost.
type figures struct {
	rows       int
	begun, cpu time.Duration
	made       time.Duration // of the CPU, spent on making up events
	wall       time.Duration
	bytes      int64
}

func (f figures) event() time.Duration { return (f.cpu - f.made) / time.Duration(max(f.rows, 1)) }

func (f figures) missed() bool {
	return f.rows > 0 && (f.event() > 6*time.Microsecond || f.bytes > int64(f.rows)*300)
}

func (f figures) String() string {
	return fmt.Sprintf("%d events: %.2f µs of CPU each (target 6), %.0f bytes each (target on disk 300), %.0f a second",
		f.rows, float64(f.event().Nanoseconds())/1000, float64(f.bytes)/float64(max(f.rows, 1)), float64(f.rows)/f.wall.Seconds())
}

const batch = 2000

// batch makes up the rows from n on.
func (w *world) batch(rows []audit.Row, buf []byte, from int) ([]audit.Row, []byte) {
	for n := from; n < min(from+batch, w.rows); n++ {
		e := w.event(n)
		start := len(buf)
		buf = audit.Pack(buf, &e)
		rows = append(rows, audit.Row{K: w.k(n), Data: buf[start:len(buf):len(buf)]})
	}
	return rows, buf
}

// cost is what making up one event takes, which no verifier would.
func (w *world) cost() time.Duration {
	const sample = 100_000
	var rows []audit.Row
	var buf []byte
	begun := cpu()
	for i := 0; i < sample; i += batch {
		rows, buf = w.batch(rows[:0], buf[:0], i)
	}
	return (cpu() - begun) / sample
}

func fill(ctx context.Context, store audit.Store, w *world) (figures, error) {
	f := figures{rows: w.rows, begun: cpu()}
	begun := time.Now()
	var rows []audit.Row
	var buf []byte
	f.made = w.cost() * time.Duration(w.rows)
	f.begun = cpu()
	for i := 0; i < w.rows; i += batch {
		rows, buf = w.batch(rows[:0], buf[:0], i)
		if err := store.Append(ctx, rows); err != nil {
			return f, err
		}
	}
	f.wall = time.Since(begun)
	f.cpu = cpu() - f.begun
	return f, nil
}
