package server

import (
	"bufio"
	"context"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/inquiry"
)

// stream is GET /v1/decisions/stream: what is decided from now on, as server-sent events (HTML Living Standard, section
// 9.2), until the caller goes, his credential is taken away, or the server stops.
func (a *Archive) stream(c *fiber.Ctx) error {
	v, err := parameters(c)
	if err != nil {
		return a.refuse(c, err)
	}
	q, err := inquiry.Query(inquiry.Live, v, time.Now())
	if err != nil {
		return a.refuse(c, err)
	}
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set(fiber.HeaderCacheControl, "no-store")
	may := stillMay(c)
	return endless(c, func(w *bufio.Writer) { a.tell(w, q, may) })
}

// tell writes events as they come. A caller that reads slowly slows its own search only; one that is gone is noticed at
// the next comment.
func (a *Archive) tell(w *bufio.Writer, q audit.Query, may func() bool) {
	ctx, cancel := context.WithCancel(a.Stopping)
	events, ended := make(chan audit.Event), make(chan error, 1)
	go func() {
		ended <- a.Reader.Follow(ctx, q, func(e audit.Event) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	finished := false
	defer func() {
		cancel()
		if !finished {
			<-ended
		}
	}()
	beat := time.NewTicker(keepaliveEvery)
	defer beat.Stop()
	line := []byte(": following\n\n")
	for {
		if !may() {
			return
		}
		if _, err := w.Write(line); err != nil || w.Flush() != nil {
			return
		}
		select {
		case e := <-events:
			line = append(line[:0], "id: "+e.ID+"\nevent: decision\ndata: "...)
			line = append(audit.AppendJSON(line, &e), "\n\n"...)
		case <-beat.C:
			line = append(line[:0], ": still here\n\n"...)
		case err := <-ended:
			finished = true
			if err != nil && ctx.Err() == nil {
				a.Logger.Error("the audit store cannot be followed any longer: " + err.Error())
			}
			return
		}
	}
}
