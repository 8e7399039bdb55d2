package server

import (
	"bufio"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// keepaliveEvery is how often a silent feed shows that it lives. The shim takes it for dead after some of them.
const keepaliveEvery = 5 * time.Second

// feedLine is one line of GET /v1/feed.
type feedLine struct {
	Cursor    string   `json:"cursor"`
	Keys      []string `json:"keys,omitempty"`
	Keepalive bool     `json:"keepalive,omitempty"`
	Reset     bool     `json:"reset,omitempty"`
}

// follow is GET /v1/feed: lines of JSON until the caller goes, his credential is taken away, or the server stops.
func (s *Server) follow(c *fiber.Ctx) error {
	cursor := strings.Clone(c.Query("cursor"))
	may := stillMay(c)
	c.Set(fiber.HeaderContentType, "application/x-ndjson")
	return endless(c, func(w *bufio.Writer) {
		ctx, cancel := context.WithCancel(s.stopping)
		defer cancel()
		s.metrics.followers.Inc()
		defer s.metrics.followers.Dec()
		s.tell(ctx, w, cursor, may)
	})
}

// endless answers with what tell writes. Of HEAD nobody waits for a body, and fasthttp would write its end all the same.
func endless(c *fiber.Ctx, tell func(*bufio.Writer)) error {
	const inChunks = -1
	if c.Method() == fiber.MethodHead {
		c.Response().Header.SetContentLength(inChunks)
	} else {
		c.Context().SetBodyStreamWriter(tell)
	}
	return nil
}

// tell writes lines until ctx ends, or the caller is gone or may not hear them any more. A keep-alive repeats the last cursor that was told, never a
// newer one: it must not pass over a line that is still on its way.
func (s *Server) tell(ctx context.Context, w *bufio.Writer, cursor string, may func() bool) {
	lines := s.opt.Feed.Subscribe(ctx, cursor)
	beat := time.NewTicker(keepaliveEvery)
	defer beat.Stop()
	out := json.NewEncoder(w)
	for {
		line := feedLine{Cursor: cursor, Keepalive: true}
		select {
		case told, ok := <-lines:
			if !ok {
				return
			}
			cursor = told.Cursor
			line = feedLine{Cursor: cursor, Keys: told.Keys, Reset: told.Reset}
		case <-beat.C:
		}
		if !may() || out.Encode(line) != nil || w.Flush() != nil {
			return
		}
	}
}
