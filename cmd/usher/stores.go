package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/revocation"
	revocationsqlite "github.com/usher-im/usher/internal/revocation/sqlitestore"
)

// openLedger opens the store that the config names and follows it.
func openLedger(ctx context.Context, cfg *config.Config, log *slog.Logger) (*revocation.Ledger, error) {
	store, err := openRevocations(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return revocation.Open(store, revocation.Options{Logger: log}), nil
}

func openRevocations(ctx context.Context, cfg *config.Config) (revocation.Store, error) {
	path := filepath.Join(cfg.DataDir, "revocations.db")
	store, err := revocationsqlite.Open(ctx, path, revocationsqlite.Options{})
	if err != nil {
		return nil, fmt.Errorf("the revocation store %s cannot be opened: %w", path, err)
	}
	return store, nil
}
