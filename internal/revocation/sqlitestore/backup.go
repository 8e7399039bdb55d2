package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
)

// Backup copies the file at path, which other processes may be writing, to a new one: every revocation that had been
// acknowledged when it began is in the copy, and the copy is complete by itself.
func Backup(ctx context.Context, path, into string) error {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	// https://sqlite.org/lang_vacuum.html: one transaction of reading, which holds up no writer of a file with a log.
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", into)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("copy the revocation store %s: %w", path, err)
	}
	return nil
}
