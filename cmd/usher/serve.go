package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/memory"
	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/server"
)

type serveCmd struct{}

// stopTime bounds what a stopping node still brings to its stores; what is left stays in the spill.
const stopTime = 10 * time.Second

func (*serveCmd) Run(ctx context.Context, c *commands, s streams) error {
	// From the first moment to the last: a SIGHUP that nobody takes ends the process, and systemd calls that a clean end.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	cfg, warnings, err := config.Load(config.Options{Path: c.Config, Env: os.Environ()})
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // whoever reads the sink or the log may go; the node stays
	memory.Govern()
	log := newLogger(cfg.Log, s.err)
	for _, w := range warnings {
		log.Warn(w.Text, "where", w.Where)
	}
	n, err := start(ctx, cfg, c.reach, s, log)
	defer n.stop()
	if err != nil {
		if says, remedy := hindrance(cfg.DataDir); says != "" {
			err = fmt.Errorf("%w: %s: %s", err, says, remedy)
		}
		return err
	}
	go n.reloadOn(ctx, hangup, c.Config)
	go memory.Settle() // nobody waits for it
	go n.warnOfMemory(ctx)
	log.Info("usher is up", "listen", n.server.VerifyAddress(), "admin", n.server.AdminAddress(), "version", version)
	err = n.server.Run(ctx)
	log.Info("usher is stopping")
	return err
}

// running is one node: everything that serve has opened, in the order of opening.
type running struct {
	log      *slog.Logger
	release  func()
	redis    *redisconn.Client // nil: embedded
	events   audit.Store
	reader   *audit.Reader
	pipeline *audit.Pipeline
	sink     *audit.Sink // nil: none
	witness  witness
	ledger   *revocation.Ledger
	unwatch  func()
	rules    atomic.Pointer[rules]
	started  *config.Config
	config   atomic.Pointer[config.Config]
	server   *server.Server
}

// start opens a node. Where something fails, what was opened before is there to be stopped.
func start(ctx context.Context, cfg *config.Config, reach reach, s streams, log *slog.Logger) (n *running, err error) {
	n = &running{log: log, release: func() {}, unwatch: func() {}}
	if err = makeDataDir(cfg); err != nil {
		return n, err
	}
	if owner, foreign := foreignOwner(cfg.DataDir); foreign {
		return n, usage("data_dir %s belongs to %s and this is root: run `sudo -u '%s' usher serve`, or give the folder and all in it to root", cfg.DataDir, owner.Username, owner.Username)
	}
	if n.release, err = lockForNode(ctx, cfg.DataDir); err != nil {
		return n, err
	}
	if says := beginsEmpty(cfg); says != "" {
		log.Warn(reach.hint(says), "where", cfg.Where("data_dir"))
	}
	if says, remedy := leftBehind(ctx, cfg); says != "" {
		log.Warn(reach.hint(says+": "+remedy), "where", cfg.Where("redis"))
	}
	who, err := credential.Open(cfg.DataDir)
	if err != nil {
		return n, err
	}
	if n.redis, err = connect(cfg); err != nil {
		return n, err
	}
	// First, and closed last: it is to record what commands do to the embedded store from now on.
	if err = n.openAudit(ctx, cfg, s.out); err != nil {
		return n, err
	}
	if n.ledger, err = openLedger(ctx, cfg, n.redis, log, n.witness.saw); err != nil {
		return n, err
	}
	// Not before there is a list: where this is and that is not, it was lost (beginsEmpty).
	if err = who.EnsureLocal(); err != nil {
		return n, err
	}
	if n.redis == nil { // in a fleet the command records itself
		n.unwatch = who.Watch(func(c credential.Credential, made bool) { n.pipeline.Record(credentialEvent(c, made, localUser())) })
	}
	r, err := openRules(cfg, n.ledger, nil, log)
	if err != nil {
		return n, err
	}
	n.rules.Store(r)
	n.started = cfg
	n.config.Store(cfg)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), n.pipeline, server.NewLedgerMetrics(n.ledger))
	archive := &server.Archive{Reader: n.reader, Journal: n.pipeline, Logger: log, Stopping: ctx}
	desk := &server.Desk{Ledger: n.ledger, Audit: n.pipeline, Recent: n.reader, Config: n.config.Load, Door: func() *decide.Door { return n.rules.Load().door },
		KeyNames: func(issuer, id string) ([]string, bool) { return n.rules.Load().namesOf(issuer, id) }}
	n.server, err = server.New(server.Options{
		Config: cfg, Door: r.door, Audit: n.pipeline, Feed: n.ledger.Feed(), Credentials: who, Registry: registry, Logger: log, Ready: n.ready,
		Admin: append(append(archive.Routes(), desk.Routes()...),
			server.Route{Method: fiber.MethodGet, Path: "/v1/keys", Roles: []credential.Role{credential.Audit}, Handler: n.listKeys},
		),
	})
	return n, err
}

// warnOfMemory says once, when Redis first answers, that it is too small for what the config lets the audit take.
func (n *running) warnOfMemory(ctx context.Context) {
	if n.redis == nil {
		return
	}
	select {
	case <-n.ledger.Loaded():
	case <-ctx.Done():
		return
	}
	if says := shortOfMemory(ctx, n.started, n.redis); says != "" {
		n.log.Warn(says, "where", n.started.Where("audit.max_size"))
	}
}

// openAudit opens the store of events and the pipeline into it.
func (n *running) openAudit(ctx context.Context, cfg *config.Config, out io.Writer) error {
	name, err := nodeName(cfg.DataDir)
	if err != nil {
		return err
	}
	pseudonyms, err := openPseudonyms(cfg)
	if err != nil {
		return err
	}
	if n.sink, err = openSink(cfg, out, n.log); err != nil {
		return err
	}
	if n.events, err = openEvents(ctx, cfg, n.redis, name, n.log); err != nil {
		return err
	}
	n.reader = audit.NewReader(n.events, pseudonyms)
	n.pipeline, err = audit.Open(ctx, n.events, audit.Options{
		Dir: spillDir(cfg), SpillMax: int64(cfg.Audit.SpillMax), Retention: cfg.Audit.Retention, Node: name, Names: cfg.Audit.Names,
		Pseudonyms: pseudonyms, Sink: n.sink, Logger: n.log,
	})
	if err == nil && n.redis == nil { // a fleet has many nodes that see the same: there the command records itself
		n.witness.pipeline.Store(n.pipeline)
	}
	return err
}

// ready: no question is answered well before the revocations are loaded.
func (n *running) ready() (lacks string, err error) {
	select {
	case <-n.ledger.Loaded():
	default:
		return "", errors.New("the revocation list is not loaded yet: the log says what the store answers")
	}
	cfg := n.config.Load()
	stale := slices.DeleteFunc(cfg.ProfileNames(), func(name string) bool {
		return !n.ledger.Stale(revocation.Rules{MaxStaleness: cfg.Profiles[name].Revocation.MaxStaleness})
	})
	if len(stale) == 0 {
		return "", nil
	}
	return "there was no word from the revocation store for longer than max_staleness (profiles: " + strings.Join(stale, ", ") +
		"): each decision asks it, and where that fails on_unavailable decides; the log says what the store answers", nil
}

func (n *running) listKeys(c *fiber.Ctx) error {
	return c.JSON(fiber.Map{"items": n.rules.Load().list()})
}

// reloadOn takes up the config anew at each signal. A bad new config is refused, and the old one stays.
func (n *running) reloadOn(ctx context.Context, hangup <-chan os.Signal, path string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		n.renewSink()
		if err := n.reload(path); err != nil {
			n.log.Error("the new config is refused, the old one stays: " + err.Error())
			continue
		}
		n.log.Info("the new config is in force")
		if waiting := n.waiting(); len(waiting) > 0 {
			n.log.Warn("all of it but what takes a restart: " + strings.Join(waiting, ", "))
		}
	}
}

// renewSink opens the sink's file anew, since whoever rotates it has moved the one that is open away. A pipe stays.
func (n *running) renewSink() {
	path := n.started.Audit.SinkPath
	if info, err := os.Stat(path); n.sink == nil || path == "-" || err == nil && !info.Mode().IsRegular() {
		return
	}
	f, err := openSinkFile(n.started)
	if err != nil {
		n.log.Error("the audit sink goes on with the file that it has: " + err.Error())
		return
	}
	n.sink.Renew(f)
}

// waiting are the keys that say something else than what the node was started with, and that it takes up at a start alone:
// all but the profiles, what the door itself asks for, and another certificate.
func (n *running) waiting() []string {
	now := n.config.Load()
	renewed := n.started.Admin.TLS.Cert != "" && now.Admin.TLS.Cert != ""
	return slices.DeleteFunc(n.started.Differences(now), func(key string) bool {
		return key == "limits.max_token_size" || renewed && strings.HasPrefix(key, "admin.tls.")
	})
}

func (n *running) reload(path string) error {
	cfg, warnings, err := config.Load(config.Options{Path: path, Env: os.Environ()})
	if err != nil {
		return err
	}
	for _, w := range warnings {
		n.log.Warn(w.Text, "where", w.Where)
	}
	r, err := openRules(cfg, n.ledger, n.rules.Load(), n.log)
	if err != nil {
		return err
	}
	if err := n.server.RenewCertificate(cfg); err != nil {
		r.close()
		return err
	}
	old := n.rules.Swap(r)
	n.config.Store(cfg)
	n.server.SetRules(cfg, r.door)
	old.close()
	return nil
}

// stop closes what was opened, in the opposite order.
func (n *running) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if r := n.rules.Load(); r != nil {
		r.close()
	}
	n.unwatch()
	if n.ledger != nil {
		n.complain("revocation store", n.ledger.Close())
	}
	if n.pipeline != nil {
		n.complain("audit", n.pipeline.Close(ctx))
	}
	if n.events != nil {
		n.complain("audit store", n.events.Close())
	}
	if n.redis != nil {
		n.complain("connection to Redis", n.redis.Close())
	}
	n.release()
}

func (n *running) complain(what string, err error) {
	if err != nil {
		n.log.Error(fmt.Sprintf("the %s did not close well", what), "error", err)
	}
}
