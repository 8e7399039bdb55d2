// Package server is the house's two doors to the outside, over fiber: the verify listener that Prosody's modules ask,
// and the admin listener for people and their tools. It turns HTTP into calls and back, and decides only who may call.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/console"
	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/revocation"
)

// Recorder takes what happened for the audit; it never blocks (an *audit.Pipeline).
type Recorder interface {
	Record(e audit.Event)
}

// Options are what a Server stands on.
type Options struct {
	Config      *config.Config
	Door        *decide.Door
	Audit       Recorder
	Feed        *revocation.Feed
	Credentials *credential.File
	Registry    *prometheus.Registry
	Logger      *slog.Logger
	// Ready tells whether questions can be answered; its error says in one sentence what is waited for, and lacks what verdicts
	// may fail for on a node that is ready.
	Ready func() (lacks string, err error)
	// Admin are further routes of the admin listener.
	Admin []Route
	// Verify are further routes of the verify listener.
	Verify []Route
	// DrainTime is how long a stopping server waits for the requests in flight; 0 means 10 s.
	DrainTime time.Duration
}

// Server answers on both listeners.
type Server struct {
	opt     Options
	door    atomic.Pointer[decide.Door]
	config  atomic.Pointer[config.Config]
	repeats *repeats
	metrics *metrics
	guard   *guard
	flood   *flood
	flight  atomic.Int64
	console console.Page

	verify, admin     *fiber.App
	verifyLn, adminLn net.Listener
	certificate       certificate
	// stopping ends the answers that have no end of their own (the feed).
	stopping context.Context
	stop     context.CancelFunc
}

// New opens both listeners; nothing is answered before Run.
func New(opt Options) (*Server, error) {
	opt.DrainTime = cmp.Or(opt.DrainTime, 10*time.Second)
	s := &Server{opt: opt, repeats: newRepeats(time.Minute), metrics: newMetrics(opt.Registry)}
	s.flood = newFlood(opt.Config.Limits.BadTokensPerAddress)
	s.guard = newGuard(opt.Credentials, opt.Audit)
	s.SetRules(opt.Config, opt.Door)
	s.stopping, s.stop = context.WithCancel(context.Background())

	var err error
	if s.console, err = console.New(); err != nil {
		return nil, err
	}
	guests := 0 // to the verify listener everybody may come
	if opt.Config.Verify.CredentialRequired {
		guests = mostGuests
	}
	if s.verifyLn, err = listen("listen", opt.Config.Listen, guests, opt.Logger); err != nil {
		return nil, err
	}
	if s.adminLn, err = listen("admin.listen", opt.Config.Admin.Listen, mostGuests, opt.Logger); err != nil {
		s.verifyLn.Close()
		return nil, err
	}
	if c := opt.Config.Admin.TLS; c.Cert != "" {
		if err := s.certificate.load(c); err != nil {
			s.verifyLn.Close()
			s.adminLn.Close()
			return nil, err
		}
		s.adminLn = s.certificate.secure(s.adminLn)
	}
	s.verify = s.app(s.verifyRoutes(), s.gate(opt.Config.Listen, true))
	s.admin = s.app(s.adminRoutes(), s.gate(opt.Config.Admin.Listen, false))
	s.admin.Server().HeaderReceived = s.guard.bodyLimit(longest(s.adminRoutes()))
	return s, nil
}

func listen(key, address string, guests int, logger *slog.Logger) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %s cannot be listened on (%w): free the address, or set another", key, address, err)
	}
	return newListener(ln, guests, logger), nil
}

// VerifyAddress is where the verify listener really is (a config may say port 0).
func (s *Server) VerifyAddress() string { return s.verifyLn.Addr().String() }

// AdminAddress is where the admin listener really is.
func (s *Server) AdminAddress() string { return s.adminLn.Addr().String() }

// SetRules puts a new configuration's rules in place of the old ones; questions in flight finish under the old. What
// the listeners were opened with stays as it was.
func (s *Server) SetRules(c *config.Config, d *decide.Door) {
	if most := questionBody(s.opt.Config); questionBody(c) > most {
		s.opt.Logger.Warn("limits.max_token_size has grown so much that longer questions are refused until a restart",
			"max_token_size", c.Limits.MaxTokenSize, "longest_question", most)
	}
	s.metrics.begin(c)
	s.config.Store(c)
	s.door.Store(d)
}

// Run answers until ctx ends, then lets the requests in flight finish within DrainTime.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 2)
	go func() { failed <- s.verify.Listener(s.verifyLn) }()
	go func() { failed <- s.admin.Listener(s.adminLn) }()
	var err error
	running := 2
	select {
	case <-ctx.Done():
	case err = <-failed:
		running--
	}
	s.stop()
	err = errors.Join(err, s.drain())
	// A fiber app that is shut down before it began to listen does not know it, and would go on for ever.
	s.verifyLn.Close()
	s.adminLn.Close()
	for ; running > 0; running-- {
		err = errors.Join(err, <-failed)
	}
	return err
}

// drain takes no more connections, and lets the requests in flight finish. Who does not read his answer in time is left
// behind: that is no failure of ours.
func (s *Server) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.opt.DrainTime)
	defer cancel()
	ended := make(chan error, 2)
	for _, app := range []*fiber.App{s.verify, s.admin} {
		go func() { ended <- app.ShutdownWithContext(ctx) }()
	}
	var failed error
	for range 2 {
		if err := <-ended; errors.Is(err, context.DeadlineExceeded) {
			s.opt.Logger.Warn("requests that did not end in time are broken off", "waited", s.opt.DrainTime)
		} else {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
