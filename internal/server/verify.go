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
	if !isJSON(c.Request().Header.ContentType()) {
		return problem(c, fiber.StatusUnsupportedMediaType, "not-json", "Send the question as Content-Type: application/json.")
	}
	resp := c.Response()
	out, said := s.answer(Actor(c), c.Request().Body(), formFor(c), resp.SwapBody(nil)[:0]) // fasthttp's own memory, which it uses again
	mediaType := fiber.MIMEApplicationJSON
	switch said {
	case unread:
		return problem(c, fiber.StatusBadRequest, "bad-question", string(out))
	case reused:
		return problem(c, fiber.StatusBadRequest, "id-reused", "This id was used for another question within the last minute. Give each question an id of its own.")
	case unavailable:
		resp.Header.Set(fiber.HeaderRetryAfter, retryAfter)
		resp.SetStatusCode(fiber.StatusServiceUnavailable)
	case inLines:
		mediaType = wire.LinesType
	}
	resp.Header.SetContentType(mediaType)
	resp.SwapBody(out)
	return nil
}

// formFor is how the caller reads an allow best.
func formFor(c *fiber.Ctx) decide.Form {
	if bytes.Contains(c.Request().Header.Peek(fiber.HeaderAccept), []byte(wire.LinesType)) {
		return wire.Lines
	}
	return wire.JSON
}

// said is what kind of answer a question got.
type said int

const (
	judged      said = iota // a verdict, or that the token is needed
	inLines                 // an allow, in lines
	unavailable             // no verdict can be had now
	unread                  // the question is malformed; the answer says why
	reused                  // its id belongs to another question
)

// answer judges the question in body and appends to out what is to be said. It knows no HTTP, so that what a verdict
// costs can be told apart from what HTTP costs. An allow is told in the form that the caller reads, or else in JSON.
func (s *Server) answer(caller string, body []byte, form decide.Form, out []byte) ([]byte, said) {
	start := time.Now()
	q, err := wire.ParseQuestion(body)
	if err != nil {
		return append(out, "The question cannot be read: "+err.Error()+"."...), unread
	}
	id, seen := s.repeats.remember(caller, q.ID, body, start)
	if seen == conflicting {
		return out, reused
	}
	v := s.decide(&q, start)
	told := v.Told(form)
	if seen == fresh && !v.NeedToken {
		s.settle(&q, &v, id, start)
	}
	if v.Problem != nil && v.Problem.Code.Info().Unavailable {
		return wire.AppendUnavailable(out, v.Problem.Code, id), unavailable
	}
	if form == wire.Lines {
		if out, ok := wire.AppendLines(out, &v, told); ok {
			return out, inLines
		}
		told = v.Told(wire.JSON)
	}
	return wire.AppendAnswer(out, &v, told, id), judged
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
	s.opt.Audit.Record(eventOf(q, v, id, start, took))
}

func isJSON(contentType []byte) bool {
	if i := bytes.IndexByte(contentType, ';'); i >= 0 {
		contentType = bytes.TrimRight(contentType[:i], " ")
	}
	return bytes.EqualFold(contentType, []byte(fiber.MIMEApplicationJSON))
}
