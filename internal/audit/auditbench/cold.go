package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/usher-im/usher/internal/audit/sqlitestore"
)

// coldRuns is how many new processes ask each question. With fewer than a hundred the p99 is the worst.
const coldRuns = 40

// askCold asks each question in new processes, as `usher audit --offline` would beside a running node.
func askCold(dir string, w *world) (missed bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return true, err
	}
	for _, q := range questions {
		var all []answer
		for _, event := range q.about(w, coldRuns) {
			child := exec.Command(self, "-dir", dir, "-rows", strconv.Itoa(w.rows), "-one", q.name, "-event", strconv.Itoa(event))
			child.Stderr = os.Stderr
			out, err := child.Output()
			if err != nil {
				return true, fmt.Errorf("%s, cold: %w", q.name, err)
			}
			var us int64
			var found int
			if _, err := fmt.Sscan(string(out), &us, &found); err != nil {
				return true, fmt.Errorf("%s, cold: %w", q.name, err)
			}
			all = append(all, answer{time.Duration(us) * time.Microsecond, found})
		}
		late, err := say("cold", q.name, all, coldTarget)
		if err != nil {
			return true, err
		}
		missed = late || missed
	}
	return missed, nil
}

// askOne drops the files' pages, opens the store, asks, and prints the microseconds of the last two and what was found.
// The process that keeps the store open must not do the dropping: closing a file takes its locks on it away.
func askOne(dir string, w *world, name string, event int) error {
	for _, q := range questions {
		if q.name != name {
			continue
		}
		if err := dropPages(dir); err != nil {
			return err
		}
		begun := time.Now()
		s, err := sqlitestore.Open(context.Background(), dir, sqlitestore.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		found, err := q.ask(context.Background(), s, w, event)
		took := time.Since(begun)
		if err := errors.Join(err, s.Close()); err != nil {
			return err
		}
		fmt.Println(took.Microseconds(), found)
		return nil
	}
	return fmt.Errorf("there is no question %q", name)
}

func dropPages(dir string) error {
	return eachFile(dir, func(f *os.File) error {
		return errors.Join(unix.Fdatasync(int(f.Fd())), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	})
}

// loadPages brings all files into memory: warm is what lies there, not what was asked before.
func loadPages(dir string) error {
	return eachFile(dir, func(f *os.File) error {
		_, err := io.Copy(io.Discard, f)
		return err
	})
}

func eachFile(dir string, do func(*os.File) error) error {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(do(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
