package storetest

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/revocation"
)

// million is how many entries a node must be able to start with.
const million = 1_000_000

// BenchmarkLoad times a fresh node's way from nothing to ready with a million entries, and the memory that it takes.
func BenchmarkLoad(b *testing.B, open func() revocation.Store) {
	fill(b, open())
	b.ResetTimer()
	for range b.N {
		before := peak(b, true)
		began, used := time.Now(), cpu(b)
		l := revocation.Open(open(), revocation.Options{})
		<-l.Loaded()
		b.ReportMetric(time.Since(began).Seconds(), "s/load")
		b.ReportMetric((cpu(b) - used).Seconds(), "cpu-s/load")
		b.ReportMetric(float64(peak(b, false)-before)/(1<<20), "MB-peak")
		if n := l.Index().Len(); n != million {
			b.Fatalf("%d entries are loaded", n)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MB-after")
		runtime.KeepAlive(l)
		b.StopTimer()
		l.Close()
		b.StartTimer()
	}
}

// BenchmarkRevoke times one revocation from the call to the acknowledgement.
func BenchmarkRevoke(b *testing.B, s revocation.Store) {
	for i := range b.N {
		if _, err := s.Revoke(context.Background(), []revocation.Revocation{JTI(b, fmt.Sprint("bench-", i))}); err != nil {
			b.Fatal(err)
		}
	}
}

func fill(b *testing.B, s revocation.Store) {
	b.Helper()
	const batch = 10_000
	rs := make([]revocation.Revocation, batch)
	for from := 0; from < million; from += batch {
		for i := range rs {
			rs[i] = JTI(b, fmt.Sprintf("token-%d", from+i))
		}
		if _, err := s.Revoke(context.Background(), rs); err != nil {
			b.Fatal(err)
		}
	}
}

// cpu is what the process has used: the figure to trust on a machine that does much else.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the most memory that the process has had resident, in bytes; it can begin anew.
func peak(b *testing.B, anew bool) int64 {
	b.Helper()
	if anew {
		runtime.GC()
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			b.Fatal(err)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb << 10
}
