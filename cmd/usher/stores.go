package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/usher-im/usher/internal/audit"
	auditredis "github.com/usher-im/usher/internal/audit/redisstore"
	auditsqlite "github.com/usher-im/usher/internal/audit/sqlitestore"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation"
	revocationredis "github.com/usher-im/usher/internal/revocation/redisstore"
	revocationsqlite "github.com/usher-im/usher/internal/revocation/sqlitestore"
)

// connect opens the connection to the fleet's Redis; nil where the config names none.
func connect(cfg *config.Config) (*redisconn.Client, error) {
	if cfg.Redis == nil {
		return nil, nil
	}
	client, err := redisconn.Open(cfg.Redis)
	if err != nil {
		return nil, usage("redis (%s) cannot be used: %w", cfg.Where("redis"), err)
	}
	return client, nil
}

// openRevocations opens the store that the config names: Redis, or the embedded one in data_dir.
func openRevocations(ctx context.Context, cfg *config.Config, redis *redisconn.Client) (revocation.Store, error) {
	if redis != nil {
		return revocationredis.Open(redis, revocationredis.Options{}), nil
	}
	path := revocationsPath(cfg)
	store, err := revocationsqlite.Open(ctx, path, revocationsqlite.Options{})
	if err != nil {
		return nil, fmt.Errorf("the revocation store %s cannot be opened: %w", path, err)
	}
	return store, nil
}

// revocationsPath is the embedded store of revocations.
func revocationsPath(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "revocations.db") }

// openLedger opens the revocation store and follows it; seen is told of each change.
func openLedger(ctx context.Context, cfg *config.Config, redis *redisconn.Client, log *slog.Logger, seen func(revocation.Change)) (*revocation.Ledger, error) {
	store, err := openRevocations(ctx, cfg, redis)
	if err != nil {
		return nil, err
	}
	return revocation.Open(store, revocation.Options{Logger: log, Seen: seen}), nil
}

// leftBehind says what the embedded store holds where the config names Redis: nobody asks it there, so that whom it
// revoked comes in again. It is empty where nothing was left.
func leftBehind(ctx context.Context, cfg *config.Config) (says, remedy string) {
	path := revocationsPath(cfg)
	if info, err := os.Stat(path); cfg.Redis == nil || err != nil || info.Size() == 0 {
		return "", ""
	}
	switch n, err := revocationsqlite.Count(ctx, path); {
	case err != nil:
		says = fmt.Sprintf("what was revoked before redis (%s) was set may be in %s, where nobody asks any more: it cannot be read (%v)", cfg.Where("redis"), path, err)
	case n > 0:
		says = fmt.Sprintf("%d revocation(s) of before redis (%s) was set are in %s, where nobody asks any more", n, cfg.Where("redis"), path)
	default:
		return "", ""
	}
	return says, "`usher revoke export --offline --config OLD FILE`, where OLD is a config that names no redis, and `usher revoke import FILE`; then delete " + path + "*"
}

// beginsEmpty says where the embedded list of revocations is new, or lost, though a node has served from this data_dir.
func beginsEmpty(cfg *config.Config) string {
	path := revocationsPath(cfg)
	if _, err := os.Stat(credential.LocalPath(cfg.DataDir)); cfg.Redis != nil || err != nil {
		return ""
	}
	if info, err := os.Stat(path); err == nil && info.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return fmt.Sprintf("nothing is revoked: %s is new or empty, though a node has served from this folder before. If that is not meant, put a backup in its place, or give `usher revoke import` what was exported", path)
}

// shortOfMemory says where Redis would be full before the audit is at its bound. It is empty where there is room, and where
// Redis does not say how much there is: not every server tells everybody.
func shortOfMemory(ctx context.Context, cfg *config.Config, redis *redisconn.Client) string {
	memory, err := redis.Memory(ctx)
	if err != nil || memory == 0 || memory > int64(cfg.Audit.MaxSize) {
		return ""
	}
	return fmt.Sprintf("Redis has room for %s (maxmemory) and the audit alone may take %s (audit.max_size): once Redis is full nobody can be revoked, or revocations are thrown away",
		config.Size(memory), cfg.Audit.MaxSize)
}

// auditDir and spillDir are the audit's folders in data_dir: the embedded store, and what waits for a store.
func auditDir(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "audit") }

func spillDir(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "spill") }

// openPseudonyms reads the key under which user ids and addresses are hidden; nil where they are not.
func openPseudonyms(cfg *config.Config) (*audit.Pseudonyms, error) {
	key := []byte(cfg.Audit.PseudonymKey)
	if path := cfg.Audit.PseudonymKeyFile; path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, usage("audit.pseudonym_key_file (%s) cannot be read: %w", cfg.Where("audit.pseudonym_key_file"), err)
		}
		key = bytes.TrimSpace(b)
	}
	return audit.NewPseudonyms(key), nil
}

// openEvents opens the store of events that the config names, for the node that writes as node.
func openEvents(ctx context.Context, cfg *config.Config, redis *redisconn.Client, node string, log *slog.Logger) (audit.Store, error) {
	if redis != nil {
		return auditredis.Open(redis, auditredis.Options{
			Writer: node, Retention: cfg.Audit.Retention, MaxSize: int64(cfg.Audit.MaxSize), Logger: log,
		}), nil
	}
	store, err := auditsqlite.Open(ctx, auditDir(cfg), auditsqlite.Options{
		Retention: cfg.Audit.Retention, MaxSize: int64(cfg.Audit.MaxSize), Logger: log,
	})
	if err != nil {
		return nil, fmt.Errorf("the audit store %s cannot be opened: %w", auditDir(cfg), err)
	}
	return store, nil
}

// readEvents opens the store of events for reading, beside whoever writes to it.
func readEvents(ctx context.Context, cfg *config.Config, redis *redisconn.Client, log *slog.Logger) (audit.Store, error) {
	if redis != nil {
		return auditredis.Open(redis, auditredis.Options{Logger: log}), nil // without a name it cannot write
	}
	store, err := auditsqlite.Open(ctx, auditDir(cfg), auditsqlite.Options{ReadOnly: true, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("the audit store %s cannot be read: %w", auditDir(cfg), err)
	}
	return store, nil
}

// openSink opens where events go besides the store; nil where they do not.
func openSink(cfg *config.Config, out io.Writer, log *slog.Logger) (*audit.Sink, error) {
	format := audit.AppendJSON
	switch cfg.Audit.Sink {
	case "none", "":
		return nil, nil
	case "ocsf":
		format = audit.AppendOCSF
	}
	if cfg.Audit.SinkPath == "-" {
		return audit.NewSink(unclosed{out}, format, log), nil
	}
	f, err := openSinkFile(cfg)
	if err != nil {
		return nil, err
	}
	return audit.NewSink(f, format, log), nil
}

func openSinkFile(cfg *config.Config) (*os.File, error) {
	// A named pipe would keep serve waiting for its reader.
	f, err := os.OpenFile(cfg.Audit.SinkPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ENXIO) {
		return nil, fmt.Errorf("audit.sink_path (%s) names %s, a pipe that nobody reads: start its reader first", cfg.Where("audit.sink_path"), cfg.Audit.SinkPath)
	}
	if err != nil {
		return nil, fmt.Errorf("audit.sink_path (%s) cannot be written: %w", cfg.Where("audit.sink_path"), err)
	}
	return f, nil
}

// unclosed lends a stream that others use as well.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }
