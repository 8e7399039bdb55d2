package sqlitestore

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
)

func TestStore_SaysWhichSealedFileIsDamagedWhenItIsMet(t *testing.T) {
	s := filled(t, t.TempDir(), 250)
	s.closeIndexes(t)
	all, _ := s.all()
	b, err := os.ReadFile(all[0].path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[4096:]) // all but what opening reads
	if err := os.WriteFile(all[0].path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	uses := map[string]func() error{
		"Query":  func() error { _, err := s.Query(t.Context(), audit.Query{Limit: 1000}); return err },
		"a user": func() error { _, err := s.Query(t.Context(), audit.Query{Limit: 1000, User: "user-4"}); return err },
		"Get":    func() error { _, _, err := s.Get(t.Context(), storetest.Events(250)[0].ID); return err },
		"Stats": func() error {
			_, err := s.Stats(t.Context(), audit.StatsQuery{Query: audit.Query{Since: storetest.Now.Add(-24 * time.Hour), Until: storetest.Now}, By: "user", Every: audit.CountSpan})
			return err
		},
		"Erase": func() error { _, err := s.Erase(t.Context(), "user-4"); return err },
		"Backup": func() error {
			return Backup(t.Context(), filepath.Dir(all[0].path), filepath.Join(t.TempDir(), "copy"), func(_, copied string) error { return nil })
		},
	}
	for name, use := range uses {
		if err := use(); err == nil || !strings.Contains(err.Error(), all[0].path) || !strings.Contains(err.Error(), "move the file") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A disk gives back blocks of zeros or of another file.
func TestStore_DamageWithinAnIndexHidesNothingAndIsSaid(t *testing.T) {
	const block = 64
	blocks := map[string][]byte{"zeros": make([]byte, block), "another file": bytes.Repeat([]byte("not ours"), block/8)}
	for name, wrong := range blocks {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer // read when the store is closed
			opt := small(storetest.Now)
			opt.Logger = slog.New(slog.NewTextHandler(&log, nil))
			s := openIn(t, t.TempDir(), opt)
			events := storetest.Events(250)
			if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
				t.Fatal(err)
			}
			settle(t, s)
			want := howMany(t, s, audit.Query{User: "user-4"})
			all, _ := s.all()
			sl, met := all[0], 0
			whole, err := os.ReadFile(sl.path + indexExt)
			if err != nil {
				t.Fatal(err)
			}
			for at := headSize; at+block <= len(whole); at += block {
				s.closeIndexes(t)
				b := bytes.Clone(whole)
				copy(b[at:], wrong)
				if err := os.WriteFile(sl.path+indexExt, b, 0o600); err != nil {
					t.Fatal(err)
				}
				if n := howMany(t, s, audit.Query{User: "user-4"}); n != want {
					t.Errorf("damaged at byte %d, %d of %d events are found", at, n, want)
				}
				for i := range events[:100] {
					if n := howMany(t, s, audit.Query{JTI: events[i].JTI}); events[i].JTI != "" && n == 0 {
						t.Errorf("damaged at byte %d, %s is not found", at, events[i].JTI)
					}
				}
				if sl.damaged.Load() {
					met++
				}
				s.wakeSealer()
				settle(t, s)
				if n := howMany(t, s, audit.Query{User: "user-4"}); n != want || sl.damaged.Load() {
					t.Errorf("made again after damage at byte %d, %d of %d events are found", at, n, want)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if said := strings.Count(log.String(), "the index of the audit file "+sl.path+" is damaged"); met == 0 || said != met {
				t.Errorf("it was said %d times, for %d damages that were met", said, met)
			}
		})
	}
}
