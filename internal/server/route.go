package server

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/credential"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	// aroundToken is more than whatever else a body holds beside a token, largestToken what limits.max_token_size may be.
	aroundToken  = 16 * kib
	largestToken = mib
)

// questionBody is the largest body of a question, by the longest token that a config takes.
func questionBody(c *config.Config) int { return max(64*kib, int(c.Limits.MaxTokenSize)+aroundToken) }

// Route is one path of a listener, with what limits it and who may use it.
type Route struct {
	Method, Path string
	// Roles that may use it; none: everybody who reaches the listener (on the verify listener: see verify.credential_required).
	Roles []credential.Role
	// Open routes are answered without a credential even where the listener wants one (health).
	Open bool
	// SignIn is what a browser gets in place of a problem document where it shows no credential: it has none to show before
	// there is a page that asks for one.
	SignIn fiber.Handler
	// Body is the largest body in bytes; 0: none is taken.
	Body    int
	Handler fiber.Handler
}

// verifyRoutes is what Prosody's modules reach.
func (s *Server) verifyRoutes() []Route {
	roles := []credential.Role(nil)
	if s.opt.Config.Verify.CredentialRequired {
		roles = []credential.Role{credential.Verify}
	}
	routes := []Route{
		{Method: fiber.MethodPost, Path: "/v1/verify", Body: questionBody(s.opt.Config), Handler: s.answerQuestion},
		{Method: fiber.MethodPost, Path: "/v1/report", Body: 4 * kib, Handler: s.takeReport},
		{Method: fiber.MethodGet, Path: "/v1/feed", Handler: s.follow},
		{Method: fiber.MethodGet, Path: "/healthz", Open: true, Handler: s.healthz},
		{Method: fiber.MethodGet, Path: "/readyz", Open: true, Handler: s.readyz},
	}
	routes = append(routes, s.opt.Verify...)
	for n := range routes {
		if !routes[n].Open {
			routes[n].Roles = roles
		}
	}
	return routes
}

// adminRoutes is what people and their tools reach.
func (s *Server) adminRoutes() []Route {
	return append([]Route{
		{Method: fiber.MethodPost, Path: "/v1/explain", Roles: []credential.Role{credential.Audit}, Body: largestToken + aroundToken, Handler: s.explain},
		{Method: fiber.MethodGet, Path: "/v1/openapi.json", Roles: []credential.Role{credential.Audit}, Handler: s.openapi},
		{Method: fiber.MethodGet, Path: "/", Roles: []credential.Role{credential.Audit}, Handler: s.showConsole, SignIn: s.showConsole},
		{Method: fiber.MethodGet, Path: "/metrics", Roles: []credential.Role{credential.Audit}, Handler: s.serveMetrics},
		{Method: fiber.MethodGet, Path: "/healthz", Open: true, Handler: s.healthz},
		{Method: fiber.MethodGet, Path: "/readyz", Open: true, Handler: s.readyz},
	}, s.opt.Admin...)
}

// Routes lists the routes of both listeners.
func (s *Server) Routes() []Route { return append(s.verifyRoutes(), s.adminRoutes()...) }

// app makes a fiber app of a table of routes.
func (s *Server) app(routes []Route, gate fiber.Handler) *fiber.App {
	app := fiber.New(fiber.Config{
		AppName:               "usher",
		BodyLimit:             longest(routes),
		DisableStartupMessage: true,
		// Nobody takes files, and fasthttp would write those of a form to the disk before we are asked.
		DisablePreParseMultipartForm: true,
		ReadTimeout:                  30 * time.Second,
		IdleTimeout:                  5 * time.Minute,
		ErrorHandler:                 s.fail,
		Network:                      "tcp",
	})
	app.Server().CloseOnShutdown = true // fasthttp closes the connection, but does not say so
	app.Use(gate)
	for _, r := range routes {
		app.Add(r.Method, r.Path, s.bounded(r))
		if r.Method == fiber.MethodGet { // who takes GET takes HEAD (RFC 9110, section 9.1): load balancers and monitors send it
			app.Add(fiber.MethodHead, r.Path, s.bounded(r))
		}
	}
	answer := app.Server().Handler
	app.Server().Handler = func(c *fasthttp.RequestCtx) {
		// A method that nobody knows fares as one that no path takes: fiber would answer it in words of its own.
		if !c.IsPost() && !c.IsGet() && !slices.Contains(fiber.DefaultMethods, string(c.Method())) {
			c.Request.Header.SetMethod(fiber.MethodTrace)
		}
		answer(c)
	}
	return app
}

// longest is the largest body that any of the routes takes.
func longest(routes []Route) (most int) {
	for _, r := range routes {
		most = max(most, r.Body)
	}
	return most
}

// bounded puts a route's limits and rights in front of its handler, and keeps a panic in it from ending the process:
// one question that we were not made for must not take the door away from everybody. It is answered with 500, which
// the Prosody modules take for no verdict.
func (s *Server) bounded(r Route) fiber.Handler {
	return func(c *fiber.Ctx) (err error) {
		defer func() {
			if broken := recover(); broken != nil {
				err = s.broke(c, broken)
			}
		}()
		if len(c.Request().Body()) > r.Body {
			return problem(c, fiber.StatusRequestEntityTooLarge, "body-too-large", "The body is larger than this path takes.")
		}
		if len(r.Roles) > 0 {
			refused, err := s.guard.refuses(c, r.Roles)
			if refused && r.SignIn != nil && asksForPage(c) {
				err = r.SignIn(c)
			}
			if refused {
				return err
			}
		}
		return r.Handler(c)
	}
}

// gate refuses what cannot come from Prosody or a tool: loopback is no identity, because every page in a browser on
// this machine reaches it. A foreign Host means a rebound name; Origin or Sec-Fetch-Site means a browser.
func (s *Server) gate(address string, noBrowsers bool) fiber.Handler {
	allowed := hostNames(address, s.opt.Config.Hosts)
	return func(c *fiber.Ctx) error {
		h := &c.Request().Header
		if host := h.Host(); !allowed[string(withoutPort(host))] {
			return problem(c, fiber.StatusForbidden, "host-refused", "This Host is not one of usher's names. Add it to hosts in the config if it should be.")
		}
		// Something that speaks for many may stand before the admin listener alone, and only there do two readers matter.
		if !noBrowsers {
			if says := misframed(h); says != "" {
				c.Context().SetConnectionClose()
				return problem(c, fiber.StatusBadRequest, "bad-request", says)
			}
		}
		if noBrowsers && (len(h.Peek(fiber.HeaderOrigin)) > 0 || len(h.Peek("Sec-Fetch-Site")) > 0) {
			return problem(c, fiber.StatusForbidden, "browser-refused", "The verify listener is for Prosody and answers no browser.")
		}
		return c.Next()
	}
}

// misframed says why a proxy may take another part of what was sent for the body than fasthttp does, which goes by the last
// length, takes any coding for chunked, and a CR alone for a part of its line: what follows would be the request of whoever
// the proxy asks for next (RFC 9112, sections 2.2, 6.1 and 6.3). Empty: none does.
func misframed(h *fasthttp.RequestHeader) (says string) {
	const broken = "A line of the header has a CR in it, which some take for its end. Take it out."
	if bytes.IndexByte(h.RequestURI(), '\r') >= 0 || bytes.IndexByte(h.Protocol(), '\r') >= 0 {
		return broken
	}
	lengths, codings, chunked := 0, 0, false
	for line := range bytes.Lines(h.RawHeaders()) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.IndexByte(bytes.TrimSuffix(line, []byte("\r\n")), '\r') >= 0:
			return broken
		case bytes.EqualFold(name, []byte(fiber.HeaderContentLength)):
			lengths++
		case bytes.EqualFold(name, []byte(fiber.HeaderTransferEncoding)):
			codings++
			chunked = bytes.EqualFold(bytes.Trim(value, " \t\r\n"), []byte("chunked")) // of white space no other belongs to HTTP
		}
	}
	if lengths+codings > 1 || codings > 0 && !(chunked && h.IsHTTP11()) {
		return "The header says in more than one way how long the body is. Send one Content-Length, or Transfer-Encoding: chunked."
	}
	return ""
}

// hostNames are the names a listener answers to: the loopback names, its own address, and those of the config.
func hostNames(address string, more []string) map[string]bool {
	names := map[string]bool{"localhost": true, "127.0.0.1": true, "[::1]": true}
	if own := string(withoutPort([]byte(address))); own != "" && own != "0.0.0.0" && own != "[::]" {
		names[own] = true
	}
	for _, name := range more {
		names[strings.ToLower(name)] = true
	}
	return names
}

// withoutPort takes the port off a Host header, and lowers its case where there is need.
func withoutPort(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && i > bytes.LastIndexByte(host, ']') {
		host = host[:i]
	}
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			return bytes.ToLower(host)
		}
	}
	return host
}

// broke answers a request whose handler panicked. The value of a panic may quote what it choked on, so the log gets its
// type and where it happened, and nobody else gets either.
func (s *Server) broke(c *fiber.Ctx, broken any) error {
	s.metrics.panics.Inc()
	s.opt.Logger.Error("a handler broke on a request, which was answered with 500: this is a fault of usher; report it with these lines",
		"path", c.Route().Path, "kind", fmt.Sprintf("%T", broken), "stack", string(debug.Stack()))
	return problem(c, fiber.StatusInternalServerError, "internal", "Something went wrong here; the log of this node says what.")
}

// fail answers what fiber itself refuses, in our own form and without its words.
func (s *Server) fail(c *fiber.Ctx, err error) error {
	var own *fiber.Error
	switch {
	case errors.As(err, &own) && own.Code == fiber.StatusMethodNotAllowed:
		return problem(c, own.Code, "method-not-allowed", "This path does not take this method. The header Allow says which it does.")
	case errors.As(err, &own) && own.Code == fiber.StatusNotFound:
		return problem(c, own.Code, "not-found", "There is nothing at this path. See GET /v1/openapi.json on the admin listener.")
	case errors.As(err, &own) && own.Code == fiber.StatusRequestEntityTooLarge:
		return s.tooLong(c)
	case errors.As(err, &own) && own.Code == fiber.StatusRequestHeaderFieldsTooLarge:
		return problem(c, own.Code, "bad-request", fmt.Sprintf("The URL and the headers have more than %d bytes together: send less in them.", fiber.DefaultReadBufferSize))
	case errors.As(err, &own) && own.Code == fiber.StatusBadGateway:
		return nil // so fiber calls a connection that broke: nobody is there to answer, and most have only looked whether we listen
	case errors.As(err, &own) && own.Code < 500:
		return problem(c, own.Code, "bad-request", "The request cannot be read.")
	}
	s.opt.Logger.Error("a request failed", "path", c.Path(), "error", err)
	return problem(c, fiber.StatusInternalServerError, "internal", "Something went wrong here; the log of this node says what.")
}

// tooLong answers a request whose body was not read. On the admin listener that may be for want of a credential; of one in
// chunks fasthttp has forgotten the header by now.
func (s *Server) tooLong(c *fiber.Ctx) error {
	detail := "The body is larger than this path takes."
	if c.App() == s.admin {
		h := &c.Request().Header
		n := h.ContentLength()
		if n <= 0 {
			detail += " Of one in chunks no more than 64 KiB are read where the credential is not known here."
		} else if _, known, shown := s.guard.find(h); !known {
			return s.guard.refuseUnknown(c, shown, fmt.Sprintf("a body of %d bytes", n))
		}
	}
	return problem(c, fiber.StatusRequestEntityTooLarge, "body-too-large", detail)
}
