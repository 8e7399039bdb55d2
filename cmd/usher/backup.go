package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	auditsqlite "github.com/usher-im/usher/internal/audit/sqlitestore"
	"github.com/usher-im/usher/internal/config"
	revocationsqlite "github.com/usher-im/usher/internal/revocation/sqlitestore"
)

type backupCmd struct {
	File string `arg:"" help:"Tar file to write; it must not exist yet. To restore, stop the node, delete revocations.db* and audit in its data_dir, and unpack it there." type:"path"`
}

// Run copies what the embedded stores have on disk, whether a node writes to them or not.
func (cmd *backupCmd) Run(ctx context.Context, c *commands, s streams) error {
	cfg, err := c.load(s)
	if err != nil {
		return err
	}
	if cfg.Redis != nil {
		return usage("redis (%s) is set, so that nothing is embedded: back Redis up by its own means", cfg.Where("redis"))
	}
	if cmd.File == "-" {
		return usage("a backup is made as a file: name one, for nothing goes to stdout")
	}
	if _, err := os.Lstat(cmd.File); err == nil {
		return usage("%s is there already: name another file, or move it away", cmd.File)
	}
	n, err := writeBackup(ctx, cfg, cmd.File)
	if err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	fmt.Fprintf(s.err, "%d file(s) are in %s. It holds who was where and when: keep it as safe as %s.\n", n, cmd.File, cfg.DataDir)
	return nil
}

// writeBackup makes the tar under another name, so that a file of the right name is a whole one.
func writeBackup(ctx context.Context, cfg *config.Config, path string) (files int, err error) {
	f, err := os.OpenFile(path+".partial", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("%s.partial is there: another backup is under way, or was broken off and the file can go", path)
	}
	folder := filepath.Dir(path)
	if err != nil {
		return 0, fmt.Errorf("%w: name a file in a folder that this user may write to, and that takes as much as %s", err, cfg.DataDir)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	scratch, err := os.MkdirTemp(folder, ".usher-backup-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	b := backup{dir: cfg.DataDir, scratch: filepath.Join(scratch, "copy"), tar: tar.NewWriter(f)}
	if err = b.stores(ctx, cfg); err == nil {
		err = errors.Join(b.tar.Close(), f.Sync())
	}
	if errors.Is(err, syscall.ENOSPC) {
		return 0, fmt.Errorf("%w: make room in %s, or name a file where there is as much as %s takes", err, folder, cfg.DataDir)
	}
	if err != nil {
		return 0, err
	}
	if err = f.Close(); err != nil {
		return 0, err
	}
	return b.files, os.Rename(f.Name(), path)
}

type backup struct {
	dir, scratch string
	tar          *tar.Writer
	files        int
}

func (b *backup) stores(ctx context.Context, cfg *config.Config) error {
	revocations := revocationsPath(cfg)
	if _, err := os.Stat(revocations); err != nil {
		return fmt.Errorf("there is no store to copy (%w): is data_dir right (%s), and has `usher serve` run there?", err, cfg.Where("data_dir"))
	}
	if err := revocationsqlite.Backup(ctx, revocations, b.scratch); err != nil {
		return err
	}
	if err := b.add(revocations, b.scratch); err != nil {
		return err
	}
	if err := errors.Join(b.emptyLog(revocations), os.Remove(b.scratch)); err != nil {
		return err
	}
	switch err := b.folder(auditDir(cfg)); {
	case errors.Is(err, fs.ErrNotExist): // no node has served here yet
		return nil
	case err != nil:
		return err
	}
	return auditsqlite.Backup(ctx, auditDir(cfg), b.scratch, b.add)
}

// header is that of the original, so that the restored file is its owner's and nobody else's.
func (b *backup) header(original string) (*tar.Header, error) {
	info, err := os.Stat(original)
	if err != nil {
		return nil, err
	}
	h, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return nil, err
	}
	h.Mode &= 0o700
	name, err := filepath.Rel(b.dir, original)
	h.Name = filepath.ToSlash(name)
	return h, err
}

func (b *backup) folder(path string) error {
	h, err := b.header(path)
	if err != nil {
		return err
	}
	h.Name += "/"
	return b.tar.WriteHeader(h)
}

// emptyLog takes the place of the write-ahead log that a node which crashed has left behind. SQLite would read it into
// the copy, of which it is not: https://sqlite.org/howtocorrupt.html, section 1.4.
func (b *backup) emptyLog(original string) error {
	h, err := b.header(original)
	if err != nil {
		return err
	}
	h.Name, h.Size = h.Name+"-wal", 0
	return b.tar.WriteHeader(h)
}

// add puts a copy under the name of its original.
func (b *backup) add(original, copied string) error {
	h, err := b.header(original)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // retention deleted it meanwhile
	}
	if err != nil {
		return err
	}
	f, err := os.Open(copied)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.Size = info.Size()
	if err := b.tar.WriteHeader(h); err != nil {
		return err
	}
	b.files++
	_, err = io.Copy(b.tar, f)
	return err
}
