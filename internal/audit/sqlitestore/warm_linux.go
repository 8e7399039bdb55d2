package sqlitestore

import (
	"os"

	"golang.org/x/sys/unix"
)

// willNeed has the kernel read ahead without waiting for it. It is a hint: that it fails does not matter.
func willNeed(f *os.File, offset, length int64) {
	_ = unix.Fadvise(int(f.Fd()), max(offset, 0), length, unix.FADV_WILLNEED)
}
