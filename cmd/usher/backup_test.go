package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	auditsqlite "github.com/usher-im/usher/internal/audit/sqlitestore"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/revocation"
	revocationsqlite "github.com/usher-im/usher/internal/revocation/sqlitestore"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// written is stores under constant writing, with how much of it has been committed.
type written struct {
	cfg                 *config.Config
	events, revocations atomic.Int64
}

func writeOn(t *testing.T) *written {
	t.Helper()
	w := &written{cfg: &config.Config{DataDir: t.TempDir()}}
	store, err := auditsqlite.Open(t.Context(), auditDir(w.cfg), auditsqlite.Options{SliceRows: 150})
	must(t, err)
	list, err := revocationsqlite.Open(t.Context(), revocationsPath(w.cfg), revocationsqlite.Options{})
	must(t, err)
	ctx := context.Background() // the test's own ends before its cleanup
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if err := w.more(ctx, store, list); err != nil {
				ended <- err
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		must(t, errors.Join(<-ended, store.Close(), list.Close()))
	})
	return w
}

// more commits some events, numbered by their detail, and a revocation.
func (w *written) more(ctx context.Context, store audit.Store, list revocation.Store) error {
	first := w.events.Load()
	var rows []audit.Row
	for n := first; n < first+40; n++ {
		at := noon.Add(time.Duration(n) * time.Millisecond)
		e := audit.Event{Time: at, ID: audit.NewID(at), Kind: audit.Decision, Verdict: audit.Deny, UserID: "ada", Detail: strconv.FormatInt(n, 10)}
		rows = append(rows, audit.Row{K: audit.FirstK(at), Data: audit.Pack(nil, &e)})
	}
	if err := store.Append(ctx, rows); err != nil {
		return err
	}
	w.events.Add(int64(len(rows)))
	r, err := revocation.Prepare(revocation.Revocation{Selector: revocation.SelectJTI, Issuer: "my-app", Value: fmt.Sprint(first)}, time.Now())
	if err != nil {
		return err
	}
	if _, err := list.Revoke(ctx, []revocation.Revocation{r}); err != nil {
		return err
	}
	w.revocations.Add(1)
	return nil
}

func TestBackup_TakenUnderWritesHoldsWhatWasCommittedBefore(t *testing.T) {
	w := writeOn(t)
	for round := range 3 {
		for w.events.Load() < int64(round+1)*400 {
			time.Sleep(time.Millisecond) // the writer is what is waited for
		}
		events, revocations := w.events.Load(), w.revocations.Load()
		path := filepath.Join(t.TempDir(), "backup.tar")
		_, err := writeBackup(t.Context(), w.cfg, path)
		must(t, err)
		restored := &config.Config{DataDir: t.TempDir()}
		unpack(t, path, restored.DataDir)
		if n := numbered(t, restored); n < events {
			t.Errorf("%d of %d events are in the backup", n, events)
		}
		if n := listed(t, restored); n < revocations {
			t.Errorf("%d of %d revocations are in the backup", n, revocations)
		}
	}
}

// What is unpacked over the store of a node that crashed is the store as it was backed up.
func TestBackup_IsRestoredOverWhatACrashLeftBehind(t *testing.T) {
	w := writeOn(t)
	for w.revocations.Load() < 20 {
		time.Sleep(time.Millisecond) // the writer is what is waited for
	}
	path := filepath.Join(t.TempDir(), "backup.tar")
	_, err := writeBackup(t.Context(), w.cfg, path)
	must(t, err)
	saved := w.revocations.Load()
	for w.revocations.Load() < saved+20 {
		time.Sleep(time.Millisecond)
	}
	crashed := &config.Config{DataDir: t.TempDir()}
	for _, end := range []string{"", "-wal", "-shm"} {
		b, err := os.ReadFile(revocationsPath(w.cfg) + end)
		must(t, err)
		must(t, os.WriteFile(revocationsPath(crashed)+end, b, 0o600))
	}
	unpack(t, path, crashed.DataDir)
	if n := listed(t, crashed); n < 20 || n > saved+1 { // what is committed is counted just after
		t.Errorf("%d revocations are in what was restored, of %d that the backup has", n, saved)
	}
}

func unpack(t *testing.T, path, dir string) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		must(t, err)
		if h.FileInfo().IsDir() {
			must(t, os.MkdirAll(filepath.Join(dir, h.Name), h.FileInfo().Mode()))
			continue
		}
		if h.Mode&0o077 != 0 {
			t.Errorf("%s may be read by others (%o)", h.Name, h.Mode)
		}
		out, err := os.OpenFile(filepath.Join(dir, h.Name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		must(t, err)
		_, err = io.Copy(out, r)
		must(t, errors.Join(err, out.Close()))
	}
}

// numbered counts the events of a restored store as the next node opens it: none may be missing among them.
func numbered(t *testing.T, cfg *config.Config) int64 {
	t.Helper()
	store, err := auditsqlite.Open(t.Context(), auditDir(cfg), auditsqlite.Options{SliceRows: 150})
	must(t, err)
	defer store.Close()
	reader := audit.NewReader(store, nil)
	n, next := int64(-1), int64(0)
	for q := (audit.Query{User: "ada", Limit: 1000}); ; {
		page, err := reader.Query(t.Context(), q)
		must(t, err)
		for _, e := range page.Events {
			at, err := strconv.ParseInt(e.Detail, 10, 64)
			must(t, err)
			if n < 0 {
				n, next = at+1, at
			}
			if at != next {
				t.Fatalf("event %d is missing", next)
			}
			next--
		}
		if page.Next == "" {
			break
		}
		q.Cursor = page.Next
	}
	if next != -1 {
		t.Fatalf("events up to %d are missing", next)
	}
	return n
}

func listed(t *testing.T, cfg *config.Config) (n int64) {
	t.Helper()
	list, err := revocationsqlite.Open(t.Context(), revocationsPath(cfg), revocationsqlite.Options{})
	must(t, err)
	defer list.Close()
	q := revocation.Query{Limit: 1000}
	for {
		page, err := list.List(t.Context(), q)
		must(t, err)
		n += int64(len(page.Items))
		if page.Next == "" {
			return n
		}
		q.Cursor = page.Next
	}
}
