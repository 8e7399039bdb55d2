package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Backup copies the file at path, which other processes may be writing, to a new one: every revocation that had been
// acknowledged when it began is in the copy, and the copy is complete by itself.
func Backup(ctx context.Context, path, into string) error {
	db, err := openToRead(path)
	if err != nil {
		return err
	}
	// https://sqlite.org/lang_vacuum.html: one transaction of reading, which holds up no writer of a file with a log.
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", into)
	var failed *sqlite.Error
	if errors.As(err, &failed) && failed.Code()&0xff == sqlite3.SQLITE_FULL {
		err = syscall.ENOSPC
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("copy the revocation store %s: %w", path, err)
	}
	return nil
}

// Count is how many revocations that have not expired are in the file at path. It makes none where there is none.
func Count(ctx context.Context, path string) (n int, err error) {
	db, err := openToRead(path)
	if err != nil {
		return 0, err
	}
	var version int
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	if newer := known(version); newer != nil {
		err = fmt.Errorf("%s: %w", path, newer)
	}
	if err == nil {
		err = db.QueryRowContext(ctx, "SELECT count(*) FROM revocations WHERE expires_at = 0 OR expires_at > ?", time.Now().UnixMilli()).Scan(&n)
	}
	return n, errors.Join(remedied(path, err), db.Close())
}

func openToRead(path string) (*sql.DB, error) {
	return sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro&_pragma=busy_timeout(10000)")
}
