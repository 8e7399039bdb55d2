package server

import "github.com/gofiber/fiber/v2"

// showConsole is GET /. The status stays what it is: 401 where the page is all that a browser gets before it shows a
// credential.
func (s *Server) showConsole(c *fiber.Ctx) error {
	for name, value := range map[string]string{
		fiber.HeaderContentType:           fiber.MIMETextHTMLCharsetUTF8,
		fiber.HeaderContentSecurityPolicy: s.console.Policy,
		fiber.HeaderXContentTypeOptions:   "nosniff",
		fiber.HeaderXFrameOptions:         "DENY",
		fiber.HeaderReferrerPolicy:        "no-referrer",
		fiber.HeaderCacheControl:          "no-store",
		"Cross-Origin-Opener-Policy":      "same-origin",
		"Cross-Origin-Resource-Policy":    "same-origin",
	} {
		c.Set(name, value)
	}
	return c.Send(s.console.HTML)
}

// asksForPage: a browser that shows no credential, as one does that was sent here by an address.
func asksForPage(c *fiber.Ctx) bool {
	return c.Get(fiber.HeaderAuthorization) == "" && c.Accepts("application/problem+json", fiber.MIMETextHTML) == fiber.MIMETextHTML
}
