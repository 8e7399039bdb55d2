package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/revocation"
)

type revokeListCmd struct {
	atDesk
	Selector string `help:"Only these: token, jti, user, kid, issuer or room." placeholder:"KIND"`
	Issuer   string `help:"Only those scoped by this issuer." placeholder:"ISS"`
	Value    string `help:"Only this value; a token stands here as its fingerprint." placeholder:"VALUE"`
	Actor    string `help:"Only those made by this actor, such as cred:soc-1." placeholder:"ACTOR"`
	Limit    int    `help:"At most so many; 0 is all." default:"100"`
	Cursor   string `help:"Go on where a list ended." placeholder:"CURSOR"`
	JSON     bool   `help:"As JSON, one object per line."`
}

func (cmd *revokeListCmd) Run(ctx context.Context, c *commands, s streams) error {
	if cmd.Limit < 0 {
		return usage("--limit: it is a number of revocations, or 0 for all of them")
	}
	d, err := cmd.desk(ctx, c, s)
	if err != nil {
		return err
	}
	defer d.close()
	q := revocation.Query{Selector: revocation.Selector(cmd.Selector), Issuer: cmd.Issuer, Value: cmd.Value, Actor: cmd.Actor, Cursor: cmd.Cursor}
	var all []revocation.Revocation
	next, err := each(ctx, d, q, cmd.Limit, func(r revocation.Revocation) error {
		if cmd.JSON {
			return printJSON(s.out, r)
		}
		all = append(all, r)
		return nil
	})
	if err != nil {
		return err
	}
	if !cmd.JSON {
		if err := table(s, all); err != nil {
			return err
		}
	}
	if next != "" {
		fmt.Fprintf(s.err, "There are more: --cursor %s goes on, --limit 0 shows all.\n", next)
	}
	return nil
}

// each calls f with every revocation that q selects, up to limit (0: all), and gives what continues the list.
func each(ctx context.Context, d desk, q revocation.Query, limit int, f func(revocation.Revocation) error) (next string, err error) {
	for n := 0; ; {
		q.Limit = 1000
		if limit > 0 {
			q.Limit = min(1000, limit-n)
		}
		page, err := d.list(ctx, q)
		if err != nil {
			return "", err
		}
		for _, r := range page.Items {
			if err := f(r); err != nil {
				return "", err
			}
		}
		n += len(page.Items)
		if page.Next == "" || limit > 0 && n >= limit {
			return page.Next, nil
		}
		q.Cursor = page.Next
	}
}

func table(s streams, all []revocation.Revocation) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSELECTOR\tVALUE\tISSUER\tISSUED BEFORE\tEXPIRES\tMADE\tBY\tREASON")
	for _, r := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Selector, short(r.Value, 40), short(r.Issuer, 24),
			moment(r.IssuedBefore), moment(r.ExpiresAt), moment(r.CreatedAt), audit.Clean(r.Actor), short(r.Reason, 40))
	}
	return w.Flush()
}

// short is what fits into a cell, safe to look at.
func short(words string, cells int) string { return text.Snip(audit.Clean(words), cells, "…") }

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

type revokeShowCmd struct {
	atDesk
	ID   string `arg:"" help:"Id of the revocation, as lists and audit rows show it."`
	JSON bool   `help:"As JSON."`
}

func (cmd *revokeShowCmd) Run(ctx context.Context, c *commands, s streams) error {
	d, err := cmd.desk(ctx, c, s)
	if err != nil {
		return err
	}
	defer d.close()
	r, err := d.get(ctx, cmd.ID)
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(s.out, r)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"id", r.ID}, {"selector", string(r.Selector)}, {"issuer", r.Issuer}, {"value", r.Value},
		{"issued before", moment(r.IssuedBefore)}, {"reason", r.Reason}, {"made by", r.Actor}, {"made", moment(r.CreatedAt)}, {"expires", moment(r.ExpiresAt)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], audit.Clean(line[1]))
	}
	return w.Flush()
}

type revokeLiftCmd struct {
	atDesk
	ID   []string `arg:"" help:"Ids of the revocations."`
	JSON bool     `help:"As JSON, one object per line."`
}

func (cmd *revokeLiftCmd) Run(ctx context.Context, c *commands, s streams) (err error) {
	out := steadily(s.out)
	defer func() { err = errors.Join(err, out.lost()) }()
	s.out = out
	d, err := cmd.desk(ctx, c, s)
	if err != nil {
		return err
	}
	defer d.close()
	missing := 0
	for _, id := range cmd.ID {
		a, err := d.lift(ctx, id)
		switch {
		case absent(err) && len(cmd.ID) > 1: // the others are to be lifted all the same
			missing++
			fmt.Fprintf(s.err, "%s: %s\n", audit.Clean(id), c.reach.hint(err.Error()))
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", audit.Clean(id), err)
		}
		if !a.Replicated {
			fmt.Fprintln(s.err, "warning: the store took this, but no replica has it yet or the store writes no log: a failure now could bring the revocation back.")
		}
		if cmd.JSON {
			err = printJSON(s.out, a.Revocation)
		} else {
			_, err = fmt.Fprintln(s.out, "lifted  "+describe(a.Revocation)+"  "+a.ID)
		}
		if err != nil {
			return err
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d revocations were not there, the others are lifted", missing, len(cmd.ID))
	}
	return nil
}
