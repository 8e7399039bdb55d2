// Package bench measures what a verdict costs. Its Go benchmarks are here (`go test -bench`); cmd runs them beside
// everything else that is measured and writes tables.
package bench

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/keys"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/sqlitestore"
	"github.com/usher-im/usher/internal/wire"
)

// House is a door with all that it stands on: real key files, a real store of revocations that is followed.
type House struct {
	Config *config.Config
	Door   *decide.Door
	Ledger *revocation.Ledger
	rings  []*keys.Ring
}

// Open builds a house in dir.
func Open(ctx context.Context, dir string) (*House, error) {
	if err := fixture.WriteKeys(dir); err != nil {
		return nil, err
	}
	cfg, _, err := config.Parse("usher.yaml", []byte(fixture.Profile(dir, "")), nil)
	if err != nil {
		return nil, fmt.Errorf("read the fixture's config: %w", err)
	}
	store, err := sqlitestore.Open(ctx, filepath.Join(dir, "revocations.db"), sqlitestore.Options{})
	if err != nil {
		return nil, err
	}
	h := &House{Config: cfg, Ledger: revocation.Open(store, revocation.Options{})}
	h.Door, err = decide.New(cfg, decide.Options{Revocations: h.Ledger, Encode: wire.EncodeProven, OpenKeys: h.openKeys})
	if err != nil {
		h.Close()
		return nil, err
	}
	select {
	case <-h.Ledger.Loaded():
		return h, nil
	case <-ctx.Done():
		h.Close()
		return nil, fmt.Errorf("wait for the revocations: %w", ctx.Err())
	}
}

func (h *House) openKeys(i *config.Issuer) (decide.Keys, error) {
	ring, err := keys.Open(context.Background(), i.Keys, keys.Options{})
	if err == nil {
		h.rings = append(h.rings, ring)
	}
	return ring, err
}

// Close takes it down.
func (h *House) Close() error {
	for _, r := range h.rings {
		r.Close()
	}
	return h.Ledger.Close()
}
