package server

import (
	"bytes"
	"context"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/decide"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/wire"
)

const (
	// maxFlight bounds the questions that are judged at once. The shim asks over few connections, so more than this
	// means that answers have stopped coming: better to say so at once than to hold a connection.
	maxFlight = 4096
	// retryAfter is what a caller is told to wait, in seconds, where no verdict can be had.
	retryAfter = "1"
)

// answerQuestion is POST /v1/verify.
func (s *Server) answerQuestion(c *fiber.Ctx) error {
	start := time.Now()
	if !isJSON(c.Request().Header.ContentType()) {
		return problem(c, fiber.StatusUnsupportedMediaType, "not-json", "Send the question as Content-Type: application/json.")
	}
	body := c.Request().Body()
	q, err := wire.ParseQuestion(body)
	if err != nil {
		return problem(c, fiber.StatusBadRequest, "bad-question", "The question cannot be read: "+err.Error()+".")
	}
	id, seen := s.repeats.remember(Actor(c), q.ID, body, audit.NewID(start), start)
	if seen == conflicting {
		return problem(c, fiber.StatusBadRequest, "id-reused", "This id was used for another question within the last minute. Give each question an id of its own.")
	}
	q.Repeated = seen == repeated
	v := s.decide(&q, start)
	if seen == fresh && !v.NeedToken {
		s.settle(&q, &v, id, start)
	}
	return s.send(c, &v, id)
}

// decide asks the door, unless too many questions wait there already, or the client's address floods us with tokens
// that do not hold.
func (s *Server) decide(q *decide.Question, now time.Time) decide.Verdict {
	defer s.flight.Add(-1)
	if s.flight.Add(1) > maxFlight {
		return decide.Verdict{Problem: &reason.Problem{Code: reason.Overloaded}}
	}
	if q.Token != "" && s.flood.exceeded(q.RemoteIP, now) {
		return decide.Verdict{Problem: &reason.Problem{Code: reason.RateLimited}}
	}
	v := s.door.Load().Decide(context.Background(), q, now)
	if q.Token != "" && v.Profile != "" && v.Proven == nil && verdictOf(v.Problem.Code) == audit.Deny {
		s.flood.bad(q.RemoteIP, now)
		s.metrics.bad.WithLabelValues(v.IssuerBlock).Inc()
	}
	return v
}

// settle counts a verdict and hands it to the audit.
func (s *Server) settle(q *decide.Question, v *decide.Verdict, id string, start time.Time) {
	took := time.Since(start)
	s.metrics.decided(q, v, took)
	s.record(eventOf(q, v, id, start, took))
}

func (s *Server) send(c *fiber.Ctx, v *decide.Verdict, id string) error {
	body := s.bodies.Get().(*[]byte)
	defer s.bodies.Put(body)
	resp := c.Response()
	resp.Header.SetContentType(fiber.MIMEApplicationJSON)
	if v.Problem != nil && v.Problem.Code.Info().Unavailable {
		resp.Header.Set(fiber.HeaderRetryAfter, retryAfter)
		resp.SetStatusCode(fiber.StatusServiceUnavailable)
		*body = wire.AppendUnavailable((*body)[:0], v.Problem.Code, id)
	} else {
		*body = wire.AppendAnswer((*body)[:0], v, id)
	}
	resp.SetBody(*body) // copies, so the buffer may go back
	return nil
}

func isJSON(contentType []byte) bool {
	if i := bytes.IndexByte(contentType, ';'); i >= 0 {
		contentType = bytes.TrimRight(contentType[:i], " ")
	}
	return bytes.EqualFold(contentType, []byte(fiber.MIMEApplicationJSON))
}
