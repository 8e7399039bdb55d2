//go:build !linux

package audit

func fdatasync(f appendFile) error { return f.Sync() }
