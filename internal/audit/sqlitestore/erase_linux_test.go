//go:build !race

// Of each byte that it sees the race detector keeps several.

package sqlitestore

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
)

// A flood of long texts makes files that are larger than the memory which a container has.
func TestErase_TakesNoMemoryForTheFileThatItWritesAnew(t *testing.T) {
	s := openIn(t, t.TempDir(), Options{Now: func() time.Time { return storetest.Now }})
	long := strings.Repeat("x", 250)
	for n := range 30 {
		events := storetest.Events(1000)
		for i := range events {
			e := &events[i]
			e.Time = storetest.Now.Add(time.Duration(1000*n+i) * time.Millisecond)
			e.ID = audit.NewID(e.Time)
			for _, text := range []*string{&e.Session, &e.JTI, &e.Detail, &e.UserName, &e.UserEmail} {
				*text = fmt.Sprint(i, long)
			}
		}
		if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
			t.Fatal(err)
		}
	}
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // the peak counts from here
		t.Fatal(err)
	}
	before, size := peak(t), int(s.slices[0].size()>>10)
	if n, err := s.Erase(t.Context(), "user-5"); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	if more := peak(t) - before; more > size/2 {
		t.Errorf("a file of %d kB took %d kB of memory", size, more)
	}
}

// peak is the most memory that this process has had, in kB.
func peak(t *testing.T) (kB int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}
