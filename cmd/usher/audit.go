package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/inquiry"
	"github.com/usher-im/usher/internal/token"
)

type auditCmd struct {
	Find  auditFindCmd  `cmd:"" default:"withargs" help:"Find decisions, newest first. The same as usher audit alone, with the same flags."`
	Show  auditShowCmd  `cmd:"" help:"Explain one decision: who, where, when, what, why, and what to do."`
	Stats auditStatsCmd `cmd:"" help:"Count decisions over time, as bars: of the last 24 hours where neither --since nor --until is given."`
	Erase auditEraseCmd `cmd:"" help:"Delete all events of one user. It cannot be undone."`
}

// auditFilters choose events. Their names are those of the API's parameters.
type auditFilters struct {
	Since       string `help:"From then on: a span back from now (2h, 7d), a day (2026-11-24) or a time (RFC 3339)." placeholder:"TIME"`
	Until       string `help:"Before then, written as --since." placeholder:"TIME"`
	Deny        bool   `help:"Denied ones alone." xor:"verdict"`
	Allow       bool   `help:"Allowed ones alone." xor:"verdict"`
	Verdict     string `help:"allow, deny or unavailable (no verdict could be had)." placeholder:"V" xor:"verdict"`
	Reason      string `help:"Reason, such as room_mismatch; a wrong one lists them all." placeholder:"CODE"`
	Room        string `help:"Room: its JID, its name in any tenant and domain, or [tenant]name." placeholder:"ROOM"`
	Tenant      string `help:"Tenant." placeholder:"NAME"`
	User        string `help:"User id, also where rows hold pseudonyms." placeholder:"ID"`
	Issuer      string `help:"Issuer (iss)." placeholder:"ISS"`
	Subject     string `help:"Subject (sub)." placeholder:"SUB"`
	JTI         string `name:"jti" help:"Id of a token (jti)." placeholder:"JTI"`
	Kid         string `help:"Id of a key." placeholder:"KID"`
	Fingerprint string `help:"Fingerprint of a token." placeholder:"HEX" xor:"token"`
	TokenStdin  bool   `help:"Read a token from stdin and find what became of it." xor:"token"`
	IP          string `name:"ip" help:"Remote address." placeholder:"IP"`
	Host        string `help:"Prosody host." placeholder:"HOST"`
	Stage       string `help:"connect, create, join or recheck." placeholder:"STAGE"`
	Profile     string `help:"Profile of the config." placeholder:"NAME"`
	Node        string `help:"Verifier that decided." placeholder:"NAME"`
	Session     string `help:"Session of Prosody." placeholder:"ID"`
	Proven      bool   `help:"Leave out what a token only claims: events whose signature was not proven."`
}

// values are the flags as parameters; moments are fixed now, so that all pages of an answer mean the same.
func (f *auditFilters) values(s streams, scope inquiry.Scope, now time.Time) (inquiry.Values, error) {
	v := inquiry.Values{
		"since": f.Since, "until": f.Until, "verdict": f.Verdict, "reason": f.Reason, "room": f.Room, "tenant": f.Tenant, "user": f.User,
		"issuer": f.Issuer, "subject": f.Subject, "jti": f.JTI, "kid": f.Kid, "fingerprint": f.Fingerprint, "ip": f.IP, "host": f.Host,
		"stage": f.Stage, "profile": f.Profile, "node": f.Node, "session": f.Session,
	}
	switch {
	case f.Deny:
		v["verdict"] = string(audit.Deny)
	case f.Allow:
		v["verdict"] = string(audit.Allow)
	}
	if f.Proven {
		v["proven"] = "true"
	}
	if f.TokenStdin {
		fingerprint, err := fingerprintFrom(s)
		if err != nil {
			return nil, err
		}
		v["fingerprint"] = fingerprint
	}
	for name, value := range v {
		if value == "" {
			delete(v, name)
		}
	}
	q, err := inquiry.Query(scope, v, now)
	if err != nil {
		return nil, misused(err)
	}
	for name, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			v[name] = t.UTC().Format(time.RFC3339Nano)
		}
	}
	return v, nil
}

// fingerprintFrom reads a token from stdin; the token goes no further.
func fingerprintFrom(s streams) (string, error) {
	raw, err := (&tokenInput{}).read(s)
	if err != nil {
		return "", err
	}
	f, ok := token.FingerprintOf(raw)
	if !ok {
		return "", usage("what stands on stdin is no token: a token is three parts with two dots between them")
	}
	return audit.Fingerprint(f).String(), nil
}

// misused turns a wrong parameter into a wrong flag.
func misused(err error) error {
	var f *inquiry.Fault
	if errors.As(err, &f) {
		return usage("--%s: %s", f.Parameter, f.Remedy)
	}
	return err
}

type auditFindCmd struct {
	node
	auditFilters
	Kind    string `help:"Other events: revocation, lift, ejection, admin, or all." placeholder:"KIND"`
	Limit   int    `help:"Most events to show (${default}); 0: all." default:"100" placeholder:"N"`
	Follow  bool   `help:"Show what is decided from now on, until interrupted."`
	JSON    bool   `help:"One JSON object per line." xor:"form"`
	CSV     bool   `name:"csv" help:"As CSV, with a head. Cells that a spreadsheet would run are quoted." xor:"form"`
	Offline bool   `help:"Read the store that the config names, without asking a node."`
}

func (cmd *auditFindCmd) Run(ctx context.Context, c *commands, s streams) error {
	if err := cmd.check(); err != nil {
		return err
	}
	scope := inquiry.Decisions
	if cmd.Kind != "" {
		scope = inquiry.Events
	}
	if cmd.Follow {
		scope = inquiry.Live
	}
	v, err := cmd.values(s, scope, time.Now())
	if err != nil {
		return err
	}
	if cmd.Kind != "" {
		v["kind"] = cmd.Kind
		if _, err := inquiry.Query(scope, v, time.Now()); err != nil {
			return misused(err)
		}
	}
	a, err := cmd.archive(ctx, c, s, cmd.Offline)
	if err != nil {
		return err
	}
	defer a.close()
	out := cmd.form(s)
	if cmd.Follow {
		fmt.Fprintln(s.err, "following; interrupt to end")
		return a.follow(ctx, v, out.add)
	}
	found := false
	more, err := findAll(ctx, a, scope, v, cmd.Limit, func(e audit.Event) error {
		found = true
		return out.add(e)
	})
	if err = errors.Join(err, out.end()); err != nil {
		return err
	}
	if !found {
		fmt.Fprintln(s.err, "nothing was found")
	}
	if more {
		fmt.Fprintf(s.err, "There is more. These are the newest %d: narrow the question, or raise --limit (0: all).\n", cmd.Limit)
	}
	return nil
}

func (cmd *auditFindCmd) check() error {
	switch {
	case cmd.Limit < 0:
		return usage("--limit: it is a number of events, or 0 for all of them")
	case cmd.Follow && (cmd.Since != "" || cmd.Until != ""):
		return usage("--follow shows what comes from now on: leave --since and --until out")
	case cmd.Follow && cmd.Kind != "":
		return usage("--follow shows decisions: leave --kind out")
	}
	return nil
}

// form is how events are written.
func (cmd *auditFindCmd) form(s streams) eventWriter {
	switch {
	case cmd.JSON:
		return jsonEvents{s.out}
	case cmd.CSV:
		return newCSVEvents(s.out)
	}
	columns := decisionColumns
	if cmd.Kind != "" {
		columns = eventColumns
	}
	if cmd.Follow {
		return newLiveTable(columns, screenOf(s.out))
	}
	return &eventTable{columns: columns, screen: screenOf(s.out)}
}

// findAll asks page after page until there are enough events; 0: until there are none. It says whether there are more.
func findAll(ctx context.Context, a archive, scope inquiry.Scope, v inquiry.Values, limit int, f func(audit.Event) error) (more bool, err error) {
	left := limit
	for {
		v["limit"] = strconv.Itoa(audit.MaxLimit)
		if limit > 0 {
			v["limit"] = strconv.Itoa(min(left, audit.MaxLimit))
		}
		page, err := a.find(ctx, scope, v)
		if err != nil {
			return false, err
		}
		for _, e := range page.Events {
			if err := f(e); err != nil {
				return false, err
			}
		}
		left -= len(page.Events)
		if page.Next == "" || limit > 0 && left <= 0 {
			return page.Next != "", nil
		}
		v["cursor"] = page.Next
	}
}
