package main

import (
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/keys"
)

type keysCmd struct {
	List keysListCmd `cmd:"" help:"Each key: kid, type, source, age, last error."`
}

type keysListCmd struct {
	node
	Offline bool `help:"Open the keys from the config, without a running node."`
	JSON    bool `help:"As JSON, one object per line."`
}

// keyRow is one key of one issuer block, as /v1/keys answers it.
type keyRow struct {
	Profile string `json:"profile"`
	Issuer  string `json:"issuer"`
	keys.Info
	AgeSeconds int64 `json:"age_seconds"`
}

// list shows the keys of all issuers.
func (r *rules) list() []keyRow {
	rows := []keyRow{}
	for _, k := range r.rings {
		for _, info := range k.List() {
			rows = append(rows, keyRow{Profile: k.profile, Issuer: k.issuer, Info: info, AgeSeconds: int64(info.Age / time.Second)})
		}
	}
	return rows
}

func (cmd *keysListCmd) Run(ctx context.Context, c *commands, s streams) error {
	rows, err := cmd.rows(ctx, c, s)
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printLines(s.out, rows)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROFILE\tISSUER\tKID\tID\tTYPE\tSOURCE\tAGE\tLAST ERROR")
	for _, row := range rows {
		age := ""
		if !row.FetchedAt.IsZero() {
			age = (time.Duration(row.AgeSeconds) * time.Second).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Profile, row.Issuer, audit.Clean(row.Kid), audit.Clean(row.ID), kindOf(row.Info), row.Source, age, row.LastError)
	}
	return w.Flush()
}

func kindOf(i keys.Info) string {
	switch {
	case i.Curve != "":
		return i.Type + " " + i.Curve
	case i.Bits != 0:
		return i.Type + " " + strconv.Itoa(i.Bits)
	}
	return i.Type
}

func (cmd *keysListCmd) rows(ctx context.Context, c *commands, s streams) ([]keyRow, error) {
	if !cmd.Offline {
		cl, err := cmd.client(c, s)
		if err != nil {
			return nil, err
		}
		var page struct {
			Items []keyRow `json:"items"`
		}
		err = cl.do(ctx, "GET", "/v1/keys", nil, &page)
		return page.Items, err
	}
	cfg, err := c.load(s)
	if err != nil {
		return nil, err
	}
	r, err := openRules(cfg, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	defer r.close()
	r.settle(ctx)
	return r.list(), nil
}
