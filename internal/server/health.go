package server

import (
	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/wire"
)

// healthz says that the process lives.
func (s *Server) healthz(c *fiber.Ctx) error {
	return c.JSON(fiber.Map{"status": "ok", "contract": wire.Version})
}

// readyz says whether questions can be answered, and if not, what is waited for. A node whose store or key server is away
// stays ready: it answers those who may wait, and guests. A fleet loses its store at once, and would have no node left.
func (s *Server) readyz(c *fiber.Ctx) error {
	lacks, err := s.opt.Ready()
	if err != nil {
		return problem(c, fiber.StatusServiceUnavailable, "not-ready", err.Error())
	}
	answer := fiber.Map{"status": "ready", "contract": wire.Version}
	if lacks != "" {
		answer["detail"] = lacks
	}
	return c.JSON(answer)
}
