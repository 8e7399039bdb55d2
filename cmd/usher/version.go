package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"

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
}

func (v *versionCmd) Run(_ context.Context, _ *commands, io streams) error {
	b := built{Version: version, Commit: "unknown", Contract: wire.Version}
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
	_, err := fmt.Fprintf(io.out, "usher %s (commit %s, %s), wire contract %d\n", b.Version, b.Commit, b.Go, b.Contract)
	return err
}
