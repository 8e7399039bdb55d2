package sqlitestore

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
)

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
