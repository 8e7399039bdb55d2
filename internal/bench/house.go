// Package bench measures what a verdict costs. Its Go benchmarks are here (`go test -bench`); cmd runs them beside
// everything else that is measured and writes tables.
package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/usher-im/usher/internal/bench/fixture"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/keys"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/redisstore"
	"github.com/usher-im/usher/internal/revocation/sqlitestore"
	"github.com/usher-im/usher/internal/wire"
)

// Options say how a house is furnished. The zero value is the default of a deployment, in Dir.
type Options struct {
	Dir string
	// Keys is where the fixture's keys lie; empty: they are written into Dir.
	Keys string
	// Listeners is YAML at top level, for whoever serves the house.
	Listeners string
	// RedisURL has the revocations lie in Redis; empty: in SQLite, in Dir.
	RedisURL string
	// Strict asks the store in every decision.
	Strict bool
}

// House is a door with all that it stands on: real key files, a real store of revocations that is followed.
type House struct {
	Config *config.Config
	Door   *decide.Door
	Ledger *revocation.Ledger
	rings  []*keys.Ring
	redis  *redisconn.Client
}

// Open builds a house and returns when its revocations are loaded.
func Open(ctx context.Context, opt Options) (*House, error) {
	if opt.Keys == "" {
		opt.Keys = opt.Dir
		if err := fixture.WriteKeys(opt.Dir); err != nil {
			return nil, err
		}
	}
	h := &House{}
	if err := h.open(ctx, opt); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	select {
	case <-h.Ledger.Loaded():
		return h, nil
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("wait for the revocations: %w", ctx.Err()), h.Close())
	}
}

func (h *House) open(ctx context.Context, opt Options) (err error) {
	if h.Config, _, err = config.Parse("usher.yaml", []byte(opt.yaml()), nil); err != nil {
		return fmt.Errorf("read the fixture's config: %w", err)
	}
	store, err := h.store(ctx, opt)
	if err != nil {
		return err
	}
	h.Ledger = revocation.Open(store, revocation.Options{})
	h.Door, err = decide.New(h.Config, decide.Options{Revocations: h.Ledger, Encode: wire.EncodeProven, OpenKeys: h.openKeys})
	return err
}

func (o Options) yaml() string {
	rules := ""
	if o.Strict {
		rules = "    revocation: {strict: true}\n"
	}
	text := o.Listeners + "\n"
	if o.RedisURL != "" {
		text += "redis: {url: " + o.RedisURL + "}\n"
	}
	return text + fixture.Profile(o.Keys, rules)
}

func (h *House) store(ctx context.Context, opt Options) (revocation.Store, error) {
	if opt.RedisURL == "" {
		return sqlitestore.Open(ctx, filepath.Join(opt.Dir, "revocations.db"), sqlitestore.Options{})
	}
	var err error
	if h.redis, err = redisconn.Open(h.Config.Redis); err != nil {
		return nil, err
	}
	return redisstore.Open(h.redis, redisstore.Options{}), nil
}

func (h *House) openKeys(i *config.Issuer) (decide.Keys, error) {
	ring, err := keys.Open(context.Background(), i.Keys, keys.Options{})
	if err == nil {
		h.rings = append(h.rings, ring)
	}
	return ring, err
}

// Close takes it down.
func (h *House) Close() (err error) {
	for _, r := range h.rings {
		r.Close()
	}
	if h.Ledger != nil {
		err = h.Ledger.Close()
	}
	if h.redis != nil {
		err = errors.Join(err, h.redis.Close())
	}
	return err
}
