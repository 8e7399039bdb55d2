package main

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"

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
// the config and offline explanations alone. The keys of old, if there is one, serve on where a key server is down; old
// is to be closed after this.
func openRules(cfg *config.Config, revocations decide.Revocations, old *rules, log *slog.Logger) (*rules, error) {
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
				Predecessors: old.of(names[i], i.Iss),
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
		return nil, &failure{exitUsage, err}
	}
	slices.SortFunc(r.rings, func(a, b ring) int { return cmp.Or(cmp.Compare(a.profile, b.profile), cmp.Compare(a.issuer, b.issuer)) })
	r.door = door
	return r, nil
}

// of gives the keys of one issuer block. A nil r has none.
func (r *rules) of(profile, issuer string) (rings []*keys.Ring) {
	if r == nil {
		return nil
	}
	for _, k := range r.rings {
		if k.profile == profile && k.issuer == issuer {
			rings = append(rings, k.Ring)
		}
	}
	return rings
}

// namesOf are all IDs of the key that a revocation under an issuer calls id; none where there is no such key. open: there may
// be one all the same.
func (r *rules) namesOf(issuer, id string) (names []string, open bool) {
	for _, k := range r.rings {
		if k.issuer == issuer || k.issuer == config.Any {
			all, more := k.Names(id)
			names, open = append(names, all...), open || more
		}
	}
	return names, open
}

// settle waits until every key server has answered, or has failed to in the time that a fetch may take.
func (r *rules) settle(ctx context.Context) {
	var all sync.WaitGroup
	for _, k := range r.rings {
		all.Go(func() { k.Settle(ctx) })
	}
	all.Wait()
}

func (r *rules) close() {
	for _, k := range r.rings {
		k.Close()
	}
}
