package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"

	auditsqlite "github.com/usher-im/usher/internal/audit/sqlitestore"
	revocationredis "github.com/usher-im/usher/internal/revocation/redisstore"
	revocationsqlite "github.com/usher-im/usher/internal/revocation/sqlitestore"
	"github.com/usher-im/usher/internal/wire"
)

// version is set by the build (-ldflags "-X main.version=1.2.3").
var version = "dev"

type versionCmd struct {
	JSON bool `help:"As JSON."`
}

// built is what `usher version` tells.
type built struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Contract int    `json:"contract"`
	// Schema is what the stores are written in: what a newer usher has written in another one is refused.
	Schema schemas `json:"schema"`
}

type schemas struct {
	Revocations int `json:"revocations"`
	Audit       int `json:"audit"`
	Redis       int `json:"redis"` // of the revocations there
}

func (v *versionCmd) Run(_ context.Context, _ *commands, io streams) error {
	b := built{Version: version, Commit: "unknown", Contract: wire.Version,
		Schema: schemas{Revocations: revocationsqlite.Schema(), Audit: auditsqlite.Schema(), Redis: revocationredis.Format()}}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Go = info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = s.Value
			}
		}
	}
	if v.JSON {
		return json.NewEncoder(io.out).Encode(b)
	}
	_, err := fmt.Fprintf(io.out, "usher %s (commit %s, %s), wire contract %d, schema %d of revocations, %d of audit and %d of Redis\n",
		b.Version, b.Commit, b.Go, b.Contract, b.Schema.Revocations, b.Schema.Audit, b.Schema.Redis)
	return err
}
