package server

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/audit"
)

// report is the body of POST /v1/report: what became of a session that a recheck denied.
type report struct {
	DecisionID string `json:"decision_id"`
	Session    string `json:"session"`
	Outcome    string `json:"outcome"`
}

// outcomes are what can become of such a session.
var outcomes = []string{"ejected", "gone", "failed"}

// takeReport notes what the shim did about a denied session.
func (s *Server) takeReport(c *fiber.Ctx) error {
	if !isJSON(c.Request().Header.ContentType()) {
		return problem(c, fiber.StatusUnsupportedMediaType, "not-json", "Send the report as Content-Type: application/json.")
	}
	var r report
	if err := json.Unmarshal(c.Request().Body(), &r); err != nil || r.DecisionID == "" || r.Session == "" {
		return problem(c, fiber.StatusBadRequest, "bad-report", "A report is an object with the strings decision_id, session and outcome.")
	}
	if !slices.Contains(outcomes, r.Outcome) {
		return problem(c, fiber.StatusBadRequest, "bad-report", "The outcome is one of ejected, gone, failed.")
	}
	now := time.Now()
	s.metrics.ejections.WithLabelValues(r.Outcome).Inc()
	s.opt.Audit.Record(audit.Event{
		Time: now, ID: audit.NewID(now), Kind: audit.Ejection, Session: r.Session, DecisionID: r.DecisionID, Outcome: r.Outcome,
	})
	return c.SendStatus(fiber.StatusNoContent)
}
