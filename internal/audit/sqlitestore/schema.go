package sqlitestore

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// applicationID says "ushr" to file(1) and to whoever opens the file.
const applicationID = 0x75736872

// Schema is the version of the files that this usher writes; it opens older ones, and no newer.
func Schema() int { return len(steps) }

// steps bring a file forward, each by one schema version. The version stands in the file (PRAGMA user_version). A step
// that users have is never changed; a change is a new step.
var steps = []string{
	// 1: f j u a r are hashes of fingerprint, jti, user, address and room, NULL where there is none. n is 1 for a deny, 2 for unavailable, 3 for an event of another
	// kind, NULL for an allow. d is the packed event, with numbers of dict in place of texts that repeat.
	`CREATE TABLE rows (k INTEGER PRIMARY KEY, f INTEGER, j INTEGER, u INTEGER, a INTEGER, r INTEGER, n INTEGER, d BLOB NOT NULL);
	 CREATE TABLE dict (id INTEGER PRIMARY KEY, tag INTEGER NOT NULL, v BLOB NOT NULL);
	 CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
	 INSERT INTO meta VALUES ('seed', random())`,
	// 2: decisions are counted as they come, by five minutes (t, Unix milliseconds) and reason or issuer.
	`CREATE TABLE counts (t INTEGER, by TEXT, key TEXT, n INTEGER NOT NULL, PRIMARY KEY (t, by, key)) WITHOUT ROWID`,
}

// byClass finds the rows that let nobody in. It is there from the first row on: they come in its order, so keeping it costs
// less than to sort a full slice in memory. Slices of older versions get it when they are sealed.
const byClass = "CREATE INDEX IF NOT EXISTS by_n ON rows (n) WHERE n IS NOT NULL"

// byWord finds texts in dict. A slice that has it is being sealed, or is. The indexes for the terms are a file of their
// own, see index.
const byWord = "CREATE INDEX IF NOT EXISTS by_v ON dict (tag, v)"

// columns of the terms, in the order of audit.Term.
var columns = [...]string{"f", "j", "u", "a", "r"}

// openSealed opens a file that nobody writes: there is nothing to lock and nothing to wait for.
func openSealed(path string) (*sql.DB, error) {
	uri, err := uriOf(path)
	if err != nil {
		return nil, err
	}
	return sql.Open("sqlite", uri+"?mode=ro&immutable=1")
}

func uriOf(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	return (&url.URL{Scheme: "file", Path: absolute}).String(), err
}

// open opens a slice's file with SQLite's URI parameters and pragmas.
func open(path, parameters string, pragmas ...string) (*sql.DB, error) {
	uri, err := uriOf(path)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(uri + "?" + parameters)
	for _, p := range append([]string{"busy_timeout(5000)", "temp_store(MEMORY)"}, pragmas...) {
		b.WriteString("&_pragma=" + url.QueryEscape(p))
	}
	return sql.Open("sqlite", b.String())
}

// fileHead is what the first bytes of an SQLite file say without opening it (https://sqlite.org/fileformat.html).
type fileHead struct {
	version int // user_version
}

// It must not be read while this process has the file open: closing any descriptor of a file takes this process' POSIX
// locks on it away (https://sqlite.org/howtocorrupt.html, section 2.2).
func readHead(path string) (fileHead, error) {
	f, err := os.Open(path)
	if err != nil {
		return fileHead{}, err
	}
	defer f.Close()
	var b [100]byte
	if _, err := io.ReadFull(f, b[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fileHead{}, nil // created and never written: a crash came between
		}
		return fileHead{}, err
	}
	if string(b[:16]) != "SQLite format 3\x00" {
		return fileHead{}, fmt.Errorf("%s is not an SQLite file: move it out of the folder", path)
	}
	return fileHead{version: int(binary.BigEndian.Uint32(b[60:]))}, nil
}

// bringForward brings a file to the newest schema. A slice is sealed where it has an index of that schema.
func (sl *slice) bringForward(ctx context.Context, readOnly bool) error {
	x, err := openIndex(sl.path + indexExt)
	if err == nil {
		sl.sealed.Store(x.schema == len(steps) && !x.partial)
		if err := x.file.Close(); err != nil || sl.sealed.Load() {
			return err
		}
	}
	head, err := readHead(sl.path)
	if err != nil {
		return fmt.Errorf("open an audit file: %w", err)
	}
	switch {
	case head.version == len(steps):
		return nil
	case head.version > len(steps):
		return fmt.Errorf("the audit file %s was written by a newer usher (schema %d, this one knows %d): run that version, or move the file out of the folder",
			sl.path, head.version, len(steps))
	case readOnly:
		return fmt.Errorf("the audit file %s is of an older schema (%d, this usher's is %d): start `usher serve` once, which brings it forward",
			sl.path, head.version, len(steps))
	}
	if err := os.Remove(sl.path + indexExt); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := open(sl.path, "mode=rwc")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := migrate(ctx, db, head.version); err != nil {
		return fmt.Errorf("bring the audit file %s forward from schema %d: %w", sl.path, head.version, err)
	}
	return nil
}

// migrate takes the steps from a version on, all or none.
func migrate(ctx context.Context, db *sql.DB, from int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if from == 0 {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return err
		}
	}
	for n := from; n < len(steps); n++ {
		if _, err := tx.ExecContext(ctx, steps[n]); err != nil {
			return err
		}
		if fill := fills[n]; fill != nil && from > 0 {
			if err := fill(ctx, tx); err != nil {
				return err
			}
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(steps))); err != nil {
		return err
	}
	return tx.Commit()
}

// fills are what a step does to the rows that are there already, by the step's place.
var fills = map[int]func(context.Context, *sql.Tx) error{1: countAgain}
