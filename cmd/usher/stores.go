package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/usher-im/usher/internal/config"
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
		return nil, fmt.Errorf("redis (%s) cannot be used: %w", cfg.Where("redis"), err)
	}
	return client, nil
}

// openRevocations opens the store that the config names: Redis, or the embedded one in data_dir.
func openRevocations(ctx context.Context, cfg *config.Config, redis *redisconn.Client) (revocation.Store, error) {
	if redis != nil {
		return revocationredis.Open(redis, revocationredis.Options{}), nil
	}
	path := filepath.Join(cfg.DataDir, "revocations.db")
	store, err := revocationsqlite.Open(ctx, path, revocationsqlite.Options{})
	if err != nil {
		return nil, fmt.Errorf("the revocation store %s cannot be opened: %w", path, err)
	}
	return store, nil
}

// openLedger opens the revocation store and follows it.
func openLedger(ctx context.Context, cfg *config.Config, redis *redisconn.Client, log *slog.Logger) (*revocation.Ledger, error) {
	store, err := openRevocations(ctx, cfg, redis)
	if err != nil {
		return nil, err
	}
	return revocation.Open(store, revocation.Options{Logger: log}), nil
}
