package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/inquiry"
)

type auditEraseCmd struct {
	node
	User string `required:"" help:"User id, as tokens name it." placeholder:"ID"`
	Yes  bool   `help:"Do not ask."`
}

// Run has the node erase: it alone writes to the store.
func (cmd *auditEraseCmd) Run(ctx context.Context, c *commands, s streams) error {
	if cmd.User == "" {
		return usage("--user: name the one whose events go")
	}
	cl, err := cmd.client(c, s)
	if err != nil {
		return err
	}
	if !cmd.Yes {
		fmt.Fprintf(s.err, "All events of the user %s will be deleted, for good. Go on? [y/N] ", audit.Clean(cmd.User))
		answer, _ := bufio.NewReader(s.in).ReadString('\n')
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "y", "yes":
		default:
			return errors.New("nothing was erased: answer y, or give --yes")
		}
	}
	var out struct {
		Erased int64 `json:"erased"`
	}
	if err := cl.ask(ctx, http.MethodDelete, "/v1/events"+queryOf(inquiry.Values{"user": cmd.User}), nil, &out); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%d events are erased. Revocations, backups, what a sink has passed on, and spills of other nodes are not touched.\n", out.Erased)
	return nil
}
