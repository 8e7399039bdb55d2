package sqlitestore

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opener opens stores whose slices are small, so that every test has several.
func opener(t *testing.T, now time.Time) audit.Store {
	t.Helper()
	return openIn(t, t.TempDir(), Options{SliceRows: 120, Now: func() time.Time { return now }})
}

func openIn(t *testing.T, dir string, opt Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore_KeepsTheContract(t *testing.T) { storetest.Run(t, opener) }
