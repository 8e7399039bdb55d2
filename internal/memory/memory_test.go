package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"testing/fstest"
	"time"
)

func TestLimit_IsTheContainersOrAPartOfTheMachines(t *testing.T) {
	const gib = 1 << 30
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	machine := file("MemFree: 1 kB\nMemTotal:       16777216 kB\n")
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  int64
	}{
		"nothing is known":      {fstest.MapFS{}, least},
		"no container":          {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n")}, 4 * gib},
		"a limit of version 2":  {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("1073741824\n")}, gib * 8 / 10},
		"no limit of version 2": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("max\n")}, 4 * gib},
		"the tightest above us counts": {fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("0::/system.slice/usher.service\n"),
			"sys/fs/cgroup/system.slice/memory.max": file("536870912\n"), "sys/fs/cgroup/system.slice/usher.service/memory.max": file("2147483648\n"),
		}, gib / 2 * 8 / 10},
		"a limit of version 1":          {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("5:cpu:/x\n4:hugetlb,memory:/docker/1\n"), "sys/fs/cgroup/memory/memory.limit_in_bytes": file("1073741824\n")}, gib * 8 / 10},
		"version 1's word for no limit": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("4:memory:/\n"), "sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n")}, 4 * gib},
		"a container too small":         {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("33554432\n")}, least},
	} {
		got := limit(c.files)
		if want := c.want; got < want-gib/100 || got > want+gib/100 {
			t.Errorf("%s: the limit is %d, want %d", name, got, want)
		}
	}
}

func TestPace_GrowsWithWhatIsAlive(t *testing.T) {
	last := 0
	for alive := uint64(0); alive < 200<<20; alive += 1 << 20 {
		growth := growthFor(alive)
		if growth < last || growth < smallGrowth || growth > fullGrowth {
			t.Fatalf("%d MiB alive: %d after %d", alive>>20, growth, last)
		}
		last = growth
	}
	if growthFor(0) != smallGrowth || last != fullGrowth {
		t.Errorf("from %d to %d", growthFor(0), last)
	}
}

func TestPacer_FollowsTheHeapUpAndDown(t *testing.T) {
	before := debug.SetGCPercent(100)
	p := new(pacer)
	defer func() { debug.SetGCPercent(before) }()
	p.follow()
	for _, c := range []struct {
		hold, want int
	}{{0, smallGrowth}, {2 * fullHeap, fullGrowth}, {0, smallGrowth}} {
		held := make([]byte, c.hold)
		for begun := time.Now(); current() != c.want; runtime.Gosched() {
			if runtime.GC(); time.Since(begun) > 10*time.Second {
				t.Fatalf("with %d bytes held the target is %d, not %d", c.hold, current(), c.want)
			}
		}
		runtime.KeepAlive(held)
	}
}

// current is the collector's target.
func current() int {
	target := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(target)
	return int(target[0].Value.Uint64())
}
