package audit

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// ringMemory is memory outside the heap for as long as r lives: the collector takes it for nothing that is alive, and
// pages of it can be given back.
func ringMemory(r *ring, size int) []byte {
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, size) // page-aligned as well, so that it can be given back too
	}
	runtime.AddCleanup(r, func(memory []byte) { _ = unix.Munmap(memory) }, memory)
	return memory
}

// giveBack lets the system have the pages of whole terms, until they are written to again.
func giveBack(data []byte) { _ = unix.Madvise(data, unix.MADV_DONTNEED) }
