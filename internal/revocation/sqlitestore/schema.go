package sqlitestore

import (
	"context"
	"fmt"
)

// Schema is the version of the files that this usher writes; it opens older ones, and no newer.
func Schema() int { return len(schema) }

// schema is applied step by step; user_version counts the steps that a file has.
var schema = []string{
	`CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
	 -- seq is the change that made the row: it orders the list.
	 CREATE TABLE revocations (
	   seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, kind INTEGER NOT NULL, issuer TEXT NOT NULL, value TEXT NOT NULL,
	   issued_before INTEGER NOT NULL, expires_at INTEGER NOT NULL,
	   reason TEXT NOT NULL, actor TEXT NOT NULL, created_at INTEGER NOT NULL);
	 CREATE INDEX revocations_expiry ON revocations (expires_at) WHERE expires_at > 0;
	 CREATE TABLE changes (
	   seq INTEGER PRIMARY KEY, tag BLOB NOT NULL, id BLOB NOT NULL, lifted INTEGER NOT NULL, kind INTEGER NOT NULL,
	   issued_before INTEGER NOT NULL, expires_at INTEGER NOT NULL, actor TEXT NOT NULL);
	 CREATE TABLE lifted (id BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
	 CREATE TABLE marks (id BLOB PRIMARY KEY, owner TEXT NOT NULL, at INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
	 CREATE INDEX marks_until ON marks (until) WHERE until > 0;`,
}

// migrate asks before it writes: a file that is up to date is opened without a turn among its writers.
func (s *Store) migrate(ctx context.Context) error {
	var version int
	if err := s.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version == len(schema) {
		return nil
	}
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if err := known(version); err != nil {
		return err
	}
	for _, step := range schema[version:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(schema))); err != nil {
		return err
	}
	return tx.Commit()
}

// known refuses a file that this usher cannot read.
func known(version int) error {
	if version > len(schema) {
		return fmt.Errorf("the file was written by a newer usher (schema %d, this one knows %d): use that version", version, len(schema))
	}
	return nil
}
