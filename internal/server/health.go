package server

import (
	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/wire"
)

// healthz says that the process lives.
func (s *Server) healthz(c *fiber.Ctx) error {
	return c.JSON(fiber.Map{"status": "ok", "contract": wire.Version})
}

// readyz says whether questions can be answered, and if not, what is waited for.
func (s *Server) readyz(c *fiber.Ctx) error {
	if err := s.opt.Ready(); err != nil {
		return problem(c, fiber.StatusServiceUnavailable, "not-ready", err.Error())
	}
	return c.JSON(fiber.Map{"status": "ready", "contract": wire.Version})
}
