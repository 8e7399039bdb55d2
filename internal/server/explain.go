package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/usher-im/usher/internal/decide"
)

// explanationOf is the body of POST /v1/explain. The token is in the body: never in a URL, where logs would keep it.
type explanationOf struct {
	Token   string `json:"token"`
	Host    string `json:"host"`
	Profile string `json:"profile"`
	Stage   string `json:"stage"`
	Room    string `json:"room"`
	Tenant  string `json:"tenant"`
}

// explain runs every check on a token and shows each. Left out, stage is join where a room is named, else connect.
func (s *Server) explain(c *fiber.Ctx) error {
	var in explanationOf
	d := json.NewDecoder(bytes.NewReader(c.Request().Body()))
	d.DisallowUnknownFields() // a token under another name would be passed over, and a guest explained
	err := d.Decode(&in)
	if _, after := d.Token(); err != nil || !errors.Is(after, io.EOF) {
		return problem(c, fiber.StatusBadRequest, "bad-question", "Send a JSON object with the strings token, host, profile, stage, room, tenant, and with nothing else.")
	}
	q := decide.Question{Token: in.Token, Host: in.Host, Profile: in.Profile, Stage: decide.Stage(in.Stage), Room: in.Room, Tenant: in.Tenant}
	if q.Stage == "" {
		q.Stage = decide.Connect
		if q.Room != "" {
			q.Stage = decide.Join
		}
	}
	if !q.Stage.Valid() {
		return problem(c, fiber.StatusBadRequest, "bad-question", "The stage is one of connect, create, join, recheck.")
	}
	if q.Room == "" && q.Stage.NeedsRoom() {
		return problem(c, fiber.StatusBadRequest, "bad-question", "The stages join and create need a room.")
	}
	e := s.door.Load().Explain(c.Context(), &q, time.Now())
	if e.HostMissing {
		return problem(c, fiber.StatusBadRequest, "bad-question", "All else allows this token, but its profile has no domain, so that sub must be the host that asks: send that as host.")
	}
	for n, check := range e.Checks {
		if check.Config != "" {
			e.Checks[n].Config = s.config.Load().Where(check.Config)
		}
	}
	return c.JSON(e)
}
