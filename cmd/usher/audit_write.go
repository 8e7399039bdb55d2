package main

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"github.com/usher-im/usher/internal/audit"
)

// eventWriter shows events to a person or a program.
type eventWriter interface {
	add(e audit.Event) error
	end() error
}

// jsonEvents writes one object per line.
type jsonEvents struct{ w io.Writer }

func (j jsonEvents) add(e audit.Event) error {
	_, err := j.w.Write(append(audit.AppendJSON(nil, &e), '\n'))
	return err
}

func (jsonEvents) end() error { return nil }

// csvFields are all fields of an event in the order of its JSON.
var csvFields = []struct {
	name string
	of   func(*audit.Event) string
}{
	{"time", func(e *audit.Event) string { return e.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00") }},
	{"id", func(e *audit.Event) string { return e.ID }},
	{"kind", func(e *audit.Event) string { return string(e.Kind) }},
	{"proven", func(e *audit.Event) string { return strconv.FormatBool(e.Proven) }},
	{"node", func(e *audit.Event) string { return e.Node }},
	{"host", func(e *audit.Event) string { return e.Host }},
	{"profile", func(e *audit.Event) string { return e.Profile }},
	{"session", func(e *audit.Event) string { return e.Session }},
	{"stage", func(e *audit.Event) string { return e.Stage }},
	{"verdict", func(e *audit.Event) string { return string(e.Verdict) }},
	{"reason", func(e *audit.Event) string { return string(e.Reason) }},
	{"detail", func(e *audit.Event) string { return e.Detail }},
	{"issuer", func(e *audit.Event) string { return e.Issuer }},
	{"subject", func(e *audit.Event) string { return e.Subject }},
	{"user_id", func(e *audit.Event) string { return e.UserID }},
	{"user_name", func(e *audit.Event) string { return e.UserName }},
	{"user_email", func(e *audit.Event) string { return e.UserEmail }},
	{"room", func(e *audit.Event) string { return e.Room }},
	{"tenant", func(e *audit.Event) string { return e.Tenant }},
	{"jti", func(e *audit.Event) string { return e.JTI }},
	{"kid", func(e *audit.Event) string { return e.Kid }},
	{"alg", func(e *audit.Event) string { return e.Alg }},
	{"fingerprint", func(e *audit.Event) string { return e.Fingerprint.String() }},
	{"remote_ip", func(e *audit.Event) string { return e.RemoteIP }},
	{"user_agent", func(e *audit.Event) string { return e.UserAgent }},
	{"latency_us", func(e *audit.Event) string { return strconv.FormatInt(e.LatencyUS, 10) }},
	{"actor", func(e *audit.Event) string { return e.Actor }},
	{"revocation_id", func(e *audit.Event) string { return e.RevocationID }},
	{"decision_id", func(e *audit.Event) string { return e.DecisionID }},
	{"outcome", func(e *audit.Event) string { return e.Outcome }},
}

// csvEvents writes RFC 4180, a head first.
type csvEvents struct{ w *csv.Writer }

func newCSVEvents(w io.Writer) csvEvents {
	c := csvEvents{csv.NewWriter(w)}
	head := make([]string, len(csvFields))
	for i, f := range csvFields {
		head[i] = f.name
	}
	_ = c.w.Write(head) // kept by the writer, and said by end
	return c
}

// add writes a row at once: whoever follows reads it from a pipe.
func (c csvEvents) add(e audit.Event) error {
	row := make([]string, len(csvFields))
	for i, f := range csvFields {
		row[i] = audit.Cell(f.of(&e))
	}
	if err := c.w.Write(row); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

func (c csvEvents) end() error {
	c.w.Flush()
	return c.w.Error()
}

// shortTime is a time as tables show it, in UTC.
func shortTime(t time.Time) string { return t.UTC().Format(time.DateTime) }
