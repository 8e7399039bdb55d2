package server

import (
	"encoding/json"
	"net/http"

	"github.com/gofiber/fiber/v2"
)

// problemDocument is RFC 9457.
type problemDocument struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what to do.
	Detail string `json:"detail"`
}

// problem answers with a problem document. kind is stable: programs may look at it.
func problem(c *fiber.Ctx, status int, kind, detail string) error {
	b, err := json.Marshal(problemDocument{Type: "urn:usher:problem:" + kind, Title: http.StatusText(status), Status: status, Detail: detail})
	if err != nil {
		return err
	}
	c.Response().ResetBody()
	c.Set(fiber.HeaderContentType, "application/problem+json")
	return c.Status(status).Send(b)
}
