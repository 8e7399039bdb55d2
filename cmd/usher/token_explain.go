package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/decide"
)

type tokenExplainCmd struct {
	tokenInput
	node
	Online  bool   `help:"Ask the running node, revocations included. Else the config alone is asked."`
	Host    string `help:"Prosody host that would ask." placeholder:"HOST"`
	Profile string `help:"Profile to judge by. Else the one named as the host, else default." placeholder:"NAME"`
	Room    string `help:"JID of the room to enter." placeholder:"JID"`
	Tenant  string `help:"Tenant in the URL." placeholder:"NAME"`
	Stage   string `help:"connect, create, join or recheck. Else join where a room is named, else connect." placeholder:"STAGE"`
	JSON    bool   `help:"As JSON."`
}

func (cmd *tokenExplainCmd) Run(ctx context.Context, c *commands, s streams) error {
	raw, err := cmd.read(s)
	if err != nil {
		return err
	}
	if cmd.Stage == "" {
		cmd.Stage = string(decide.Connect)
		if cmd.Room != "" {
			cmd.Stage = string(decide.Join)
		}
	}
	if !decide.Stage(cmd.Stage).Valid() {
		return usage("there is no stage %q: it is one of connect, create, join, recheck", cmd.Stage)
	}
	if cmd.Room == "" && decide.Stage(cmd.Stage).NeedsRoom() {
		return usage("the stages join and create need a room: name it with --room")
	}
	ask := cmd.offline
	if cmd.Online || cmd.Server != "" {
		ask = cmd.online
	}
	e, err := ask(ctx, c, s, raw)
	if err != nil {
		return err
	}
	if cmd.JSON {
		err = printJSON(s.out, e)
	} else {
		err = show(s, e, c.reach)
	}
	switch {
	case err != nil || e.Allow:
		return err
	case e.Reason.Info().Unavailable:
		return fmt.Errorf("no verdict could be had: %s", e.Reason)
	}
	return errDeny
}

func (cmd *tokenExplainCmd) offline(ctx context.Context, c *commands, s streams, raw string) (decide.Explanation, error) {
	cfg, err := c.load(s)
	if err != nil {
		return decide.Explanation{}, err
	}
	r, err := openRules(cfg, nil, nil, nil)
	if err != nil {
		return decide.Explanation{}, err
	}
	defer r.close()
	r.settle(ctx)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	q := decide.Question{Token: raw, Host: cmd.Host, Profile: cmd.Profile, Room: cmd.Room, Tenant: cmd.Tenant, Stage: decide.Stage(cmd.Stage)}
	e := r.door.Explain(ctx, &q, time.Now())
	if e.HostMissing {
		return e, usage("all else allows this token, but its profile has no domain, so that sub must be the host that asks: name that with --host")
	}
	for n, check := range e.Checks {
		if check.Config != "" {
			e.Checks[n].Config = cfg.Where(check.Config)
		}
	}
	return e, nil
}

func (cmd *tokenExplainCmd) online(ctx context.Context, c *commands, s streams, raw string) (e decide.Explanation, err error) {
	cl, err := cmd.client(c, s)
	if err != nil {
		return e, err
	}
	err = cl.do(ctx, "POST", "/v1/explain", map[string]string{
		"token": raw, "host": cmd.Host, "profile": cmd.Profile, "stage": cmd.Stage, "room": cmd.Room, "tenant": cmd.Tenant,
	}, &e)
	return e, mistaken(err)
}

// show prints one line a check, and under it what was found and where the rule stands.
func show(s streams, e decide.Explanation, r reach) error {
	marks := map[string]string{decide.Passed: "pass", decide.Failed: "FAIL", decide.Skipped: "skip"}
	var b strings.Builder
	for _, check := range e.Checks {
		line := fmt.Sprintf("%s  %-10s", marks[check.Result], check.Name)
		if check.Reason != "" {
			line += "  " + string(check.Reason)
		}
		if check.Detail != "" {
			line += "  " + check.Detail
		}
		if check.Config != "" {
			line += "  (" + check.Config + ")"
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if e.Allow {
		b.WriteString("allowed\n")
	} else {
		info, verdict := e.Reason.Info(), "denied"
		if info.Unavailable {
			verdict = "no verdict"
		}
		fmt.Fprintf(&b, "%s: %s. %s\nwhat to do: %s\n", verdict, e.Reason, info.Message, r.hint(info.Remedy))
	}
	_, err := fmt.Fprint(s.out, b.String())
	return err
}
