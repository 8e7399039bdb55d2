package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Backup copies the slices of a folder, which another process may be writing, one after the other: it makes a copy at
// the path scratch, hands it over with the path that it is a copy of, and deletes it.
//
// Together the copies are the store as it was at one moment, not before Backup began: slices go oldest first, none that
// is begun meanwhile is taken, and only the newest of them grows. What retention deletes meanwhile is left out.
func Backup(ctx context.Context, dir, scratch string, take func(original, copied string) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the audit's folder: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if _, ok := sliceName(e.Name()); ok {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(paths)
	for _, path := range paths {
		if err := backupSlice(ctx, path, scratch, take); err != nil {
			return remedied(fmt.Errorf("copy the audit file %s: %w", path, err))
		}
	}
	return nil
}

func backupSlice(ctx context.Context, path, scratch string, take func(original, copied string) error) error {
	// The index belongs to the rows as they are while it is there: who erases deletes it first.
	index, err := os.Open(path + indexExt)
	if err == nil {
		defer index.Close()
	}
	if err := copyFile(ctx, path, scratch); err != nil {
		if _, gone := os.Stat(path); errors.Is(gone, os.ErrNotExist) {
			return os.RemoveAll(scratch)
		}
		return err
	}
	if err := errors.Join(take(path, scratch), os.Remove(scratch)); err != nil || index == nil {
		return err
	}
	if !stillThere(index, path+indexExt) {
		return nil // the store makes another when it is opened
	}
	if err := writeOut(index, scratch); err != nil {
		return err
	}
	return errors.Join(take(path+indexExt, scratch), os.Remove(scratch))
}

// copyFile has SQLite copy, in one transaction of reading: sealed slices are not copied byte by byte either, since
// erasing changes them.
func copyFile(ctx context.Context, path, into string) error {
	db, err := open(path, "mode=rw") // not read-only: it may have to undo what a crash left half done
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", into)
	var failed *sqlite.Error
	if errors.As(err, &failed) && failed.Code()&0xff == sqlite3.SQLITE_FULL {
		err = syscall.ENOSPC
	}
	return errors.Join(err, db.Close())
}

func stillThere(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(opened, now)
}

func writeOut(from io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
