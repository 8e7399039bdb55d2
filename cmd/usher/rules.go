package main

import (
	"cmp"
	"context"
	"log/slog"
	"slices"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/keys"
	"github.com/usher-im/usher/internal/wire"
)

// rules is one config made ready: the door, and the keys it stands on.
type rules struct {
	door  *decide.Door
	rings []ring
}

// ring is the keys of one issuer block, with where the block stands.
type ring struct {
	profile, issuer string
	*keys.Ring
}

// openRules opens the keys of every issuer and builds the door on them. Without revocations the door serves checks of
// the config and offline explanations alone.
func openRules(cfg *config.Config, revocations decide.Revocations, log *slog.Logger) (*rules, error) {
	r := &rules{}
	names := make(map[*config.Issuer]string)
	for name, p := range cfg.Profiles {
		for _, i := range p.Issuers {
			names[i] = name
		}
	}
	door, err := decide.New(cfg, decide.Options{
		Revocations: revocations,
		Encode:      wire.EncodeProven,
		OpenKeys: func(i *config.Issuer) (decide.Keys, error) {
			k, err := keys.Open(context.Background(), i.Keys, keys.Options{
				AllowShortSecret: i.AllowShortSecret, AllowHTTP: i.AllowHTTP, Logger: log,
			})
			if err != nil {
				return nil, err
			}
			r.rings = append(r.rings, ring{names[i], i.Iss, k})
			return k, nil
		},
	})
	if err != nil {
		r.close()
		return nil, err
	}
	slices.SortFunc(r.rings, func(a, b ring) int { return cmp.Or(cmp.Compare(a.profile, b.profile), cmp.Compare(a.issuer, b.issuer)) })
	r.door = door
	return r, nil
}

func (r *rules) close() {
	for _, k := range r.rings {
		k.Close()
	}
}
