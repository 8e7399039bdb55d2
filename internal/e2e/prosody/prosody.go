// Package prosody runs a real Prosody on free loopback ports, with a data folder of its own, for end-to-end tests
// and the demo.
//
//	server, err := prosody.Start(ctx, prosody.Options{Release: release, Domain: "meet.example.com", …})
//	defer server.Stop()
//	server.WebSocketURL()                      // ws://127.0.0.1:…/xmpp-websocket
//	server.Lua(ctx, `return prosody.version`, &v) // look inside
package prosody

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/e2e/proc"
)

// Options say what a Prosody shall serve. Text fields are Lua, put into the section they are named after.
type Options struct {
	Release Release
	// Dir takes the start script, config and data; the caller removes it.
	Dir string
	// Domain has clients; guest.<Domain> is a plain anonymous host beside it, conference.<Domain> its rooms.
	Domain         string
	Authentication string   // of Domain; anonymous when left out
	LogLevel       string   // debug when left out; info at least, for the line by which it is known to be ready
	Admins         []string // bare JIDs
	PluginPaths    []string // searched before Prosody's own; the harness adds its console
	Modules        []string // for every host, beside what clients need
	MUCModules     []string
	Global         string // options above all hosts
	Host           string // options of Domain
	MUC            string // options of conference.<Domain>
	Hosts          string // further VirtualHost and Component sections
	// Under is a command that runs Prosody, as valgrind does; none: Prosody runs by itself.
	Under []string
}

// Server is a running Prosody.
type Server struct {
	*proc.Process
	Options                          Options
	C2SPort, HTTPPort, ComponentPort int
}

// Start returns when Prosody has started every host and listens on every port.
func Start(ctx context.Context, opt Options) (*Server, error) {
	var err error
	// Another program may take a port between choice and use; Prosody then logs it and goes on without.
	for range 3 {
		var s *Server
		if s, err = start(ctx, opt); err == nil {
			return s, nil
		}
		if ctx.Err() != nil || !strings.Contains(err.Error(), "in use by another") {
			return nil, err
		}
	}
	return nil, err
}

func start(ctx context.Context, opt Options) (*Server, error) {
	if opt.Authentication == "" {
		opt.Authentication = "anonymous"
	}
	if opt.LogLevel == "" {
		opt.LogLevel = "debug"
	}
	repo, err := proc.RepoRoot()
	if err != nil {
		return nil, err
	}
	opt.PluginPaths = append(opt.PluginPaths[:len(opt.PluginPaths):len(opt.PluginPaths)],
		filepath.Join(repo, "internal/e2e/prosody/modules"))
	ports, err := proc.FreePorts(3)
	if err != nil {
		return nil, err
	}
	s := &Server{Options: opt, C2SPort: ports[0], HTTPPort: ports[1], ComponentPort: ports[2]}
	cmd, err := s.command()
	if err != nil {
		return nil, err
	}
	if s.Process, err = proc.Start("Prosody "+opt.Release.Name, cmd); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		_ = s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) command() (*exec.Cmd, error) {
	dir := s.Options.Dir
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		return nil, err
	}
	text, err := render(configValues{s.Options, s.C2SPort, s.HTTPPort, s.ComponentPort})
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "prosody.cfg.lua")
	if err := os.WriteFile(config, text, 0o644); err != nil {
		return nil, err
	}
	command, err := s.Options.Release.command(dir)
	if err != nil {
		return nil, err
	}
	command = slices.Concat(s.Options.Under, command, []string{"-F", "--config", config})
	return exec.Command(command[0], command[1:]...), nil
}

func (s *Server) ready(ctx context.Context) error {
	if _, err := s.WaitLine(ctx, "end-to-end console ready"); err != nil {
		return err
	}
	for line := range strings.Lines(s.Log.String()) {
		if strings.Contains(line, "Failed to open server port") || strings.Contains(line, "Error initializing module") {
			return fmt.Errorf("%s started in part: %s", s.Name, strings.TrimSpace(line))
		}
	}
	return nil
}

// Stop ends Prosody and waits for it. Having to kill it is no error: 0.12 forgets to count a session that is closed
// from both sides while it shuts down, and then waits for it.
func (s *Server) Stop() error {
	if err := s.Process.Stop(2 * time.Second); err != nil && !errors.Is(err, proc.ErrKilled) {
		return err
	}
	return nil
}

// WebSocketURL is where clients connect by RFC 7395.
func (s *Server) WebSocketURL() string {
	return fmt.Sprintf("ws://127.0.0.1:%d/xmpp-websocket", s.HTTPPort)
}

// BOSHURL is where clients connect by XEP-0124.
func (s *Server) BOSHURL() string { return fmt.Sprintf("http://127.0.0.1:%d/http-bind", s.HTTPPort) }

// C2SAddress is where clients connect by plain TCP.
func (s *Server) C2SAddress() string { return fmt.Sprintf("127.0.0.1:%d", s.C2SPort) }

// ComponentAddress is where external components connect (XEP-0114).
func (s *Server) ComponentAddress() string { return fmt.Sprintf("127.0.0.1:%d", s.ComponentPort) }

// Lua runs a chunk inside Prosody, with module and prosody in reach, and decodes what it returns into result
// (nil: it is thrown away).
func (s *Server) Lua(ctx context.Context, chunk string, result any) error {
	url := fmt.Sprintf("http://127.0.0.1:%d/e2e/run", s.HTTPPort)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(chunk))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("run Lua in %s: %w", s.Name, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("run Lua in %s: %w", s.Name, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("run Lua in %s: %s", s.Name, body)
	}
	if result == nil {
		return nil
	}
	var out struct{ Result json.RawMessage }
	if err := json.Unmarshal(body, &out); err != nil {
		return fmt.Errorf("run Lua in %s: %w in %q", s.Name, err, body)
	}
	return json.NewDecoder(bytes.NewReader(out.Result)).Decode(result)
}
