package cpu

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// KeepTo binds this process to one core, with all its threads; -1 leaves it where it is.
func KeepTo(core int) error {
	if core < 0 {
		return nil
	}
	if err := Bind(os.Getpid(), core); err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	return nil
}

// Bind binds a process to one core, with all threads that it has; what they start comes along. -1 gives it all cores.
func Bind(pid, core int) error {
	var set unix.CPUSet
	if core >= 0 {
		set.Set(core)
	} else {
		for n := range runtime.NumCPU() {
			set.Set(n)
		}
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return fmt.Errorf("list the threads of process %d: %w", pid, err)
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return fmt.Errorf("read a thread's number: %w", err)
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("bind process %d to core %d: %w", pid, core, err)
		}
	}
	return nil
}
