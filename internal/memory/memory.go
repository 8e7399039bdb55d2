// Package memory chooses how often the garbage collector runs: seldom enough that nobody waits for it, within the memory
// that this process may have.
package memory

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	// A container's memory is ours alone, but not for the heap alone; of a whole machine's others want their part.
	shareOfContainer = 0.8
	shareOfMachine   = 0.25
	// least is what is asked for at least, however small the machine: below that the collector would run all the time.
	least = 64 << 20
)

// Govern sets the collector's pace for this process, from now on. What the environment says (GOGC, GOMEMLIMIT) is left as
// it is. Near the limit the collector runs as often as it must, so a small container costs CPU and not its life.
func Govern() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit(os.DirFS("/")))
	}
	if os.Getenv("GOGC") == "" {
		new(pacer).follow()
	}
}

// Settle gives back to the system what only starting needed.
func Settle() { debug.FreeOSMemory() }

// limit is the part of the container's memory, or else of the machine's, that the heap may have.
func limit(root fs.FS) int64 {
	machine := machineMemory(root)
	bytes := int64(float64(machine) * shareOfMachine)
	if container, ok := containerMemory(root); ok && (machine == 0 || container < machine) {
		bytes = int64(float64(container) * shareOfContainer)
	}
	return max(bytes, least)
}

// containerMemory reads the tightest limit of the cgroup that we are in and of those above it: version 2's memory.max,
// or version 1's memory.limit_in_bytes.
func containerMemory(root fs.FS) (int64, bool) {
	own, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	var tightest int64
	for line := range strings.Lines(string(own)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, name := "sys/fs/cgroup", "memory.max"
		if parts[1] != "" {
			if !strings.Contains(","+parts[1]+",", ",memory,") {
				continue
			}
			base, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		// A container sees its own cgroup at the top of this tree, whatever the path says.
		for group := filepath.Clean("/" + parts[2]); ; group = filepath.Dir(group) {
			if n, ok := readBytes(root, filepath.Join(base, group, name)); ok && (tightest == 0 || n < tightest) {
				tightest = n
			}
			if group == "/" {
				break
			}
		}
	}
	return tightest, tightest > 0
}

// readBytes reads a limit; "max" is none.
func readBytes(root fs.FS, name string) (int64, bool) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil && n > 0
}

func machineMemory(root fs.FS) int64 {
	f, err := root.Open("proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int64
		if n, _ := fmt.Sscanf(lines.Text(), "MemTotal: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}
