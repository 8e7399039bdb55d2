//go:build !linux

package sqlitestore

import "os"

func willNeed(*os.File, int64, int64) {}
