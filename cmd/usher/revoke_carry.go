package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/intake"
)

type revokeExportCmd struct {
	atDesk
	File string `arg:"" optional:"" help:"Where to; stdout if left out." placeholder:"FILE"`
}

func (cmd *revokeExportCmd) Run(ctx context.Context, c *commands, s streams) (err error) {
	out := s.out
	if cmd.File != "" && cmd.File != "-" {
		// Before the desk is: root may write where the owner of the data_dir may not (see asOwner).
		f, made := os.OpenFile(cmd.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if made != nil {
			return usage("%s cannot be made (%v): name a file that is not there yet, in a folder that this user may write to", cmd.File, made)
		}
		defer func() {
			if err = errors.Join(err, f.Close()); err != nil {
				_ = os.Remove(cmd.File) // it is not whole, and would be in the way of the next try
			}
		}()
		out = f
	}
	d, err := cmd.desk(ctx, c, s)
	if err != nil {
		return err
	}
	defer d.close()
	n := 0
	_, err = each(ctx, d, revocation.Query{}, 0, func(r revocation.Revocation) error {
		n++
		return printJSON(out, r)
	})
	if err == nil {
		fmt.Fprintf(s.err, "%d revocations are exported.\n", n)
	}
	return err
}

type revokeImportCmd struct {
	atDesk
	File string `arg:"" help:"Lines of JSON; - is stdin." placeholder:"FILE"`
	JSON bool   `help:"As JSON, one object per line."`
}

func (cmd *revokeImportCmd) Run(ctx context.Context, c *commands, s streams) error {
	f, err := openInput(s, cmd.File)
	if err != nil {
		return err
	}
	defer f.Close()
	asked, passed, err := imported(f, nameOf(cmd.File), time.Now())
	if err != nil {
		return err
	}
	if passed > 0 {
		fmt.Fprintf(s.err, "%d are passed over: they have expired, or nobody knows any more what they named.\n", passed)
	}
	if len(asked) == 0 {
		fmt.Fprintln(s.err, "there is nothing to import")
		return nil
	}
	d, err := cmd.desk(ctx, c, s)
	if err != nil {
		return err
	}
	defer d.close()
	return send(ctx, d, asked, sending{json: cmd.JSON, imported: true, reach: c.reach}, s)
}

// exported is a line of export: what is asked for, and who asked for it when, which is told anew.
type exported struct {
	intake.Request
	ID        string `json:"id"`
	Actor     string `json:"actor"`
	CreatedAt string `json:"created_at"`
}

// imported reads what export wrote. Ids come from what a revocation names, so they are the same again. A member that is
// misspelt is not passed over: a revocation that was to spare later tokens, or to end, would be one of everything for ever.
func imported(from io.Reader, name string, now time.Time) (asked []intake.Request, passed int, err error) {
	dec := json.NewDecoder(from)
	for n := 1; ; n++ {
		var object json.RawMessage
		if err := dec.Decode(&object); err == io.EOF {
			return asked, passed, nil
		} else if err != nil {
			return nil, 0, usage("object %d of %s is no revocation (%v)", n, name, err)
		}
		q, err := exportedIn(object)
		if err != nil {
			return nil, 0, usage("object %d of %s is no revocation (%v)", n, name, err)
		}
		if left, ends := lifetime(q.Request, now); ends && left <= 0 || q.Value == "" {
			passed++
			continue
		}
		if err := q.Check(now); err != nil {
			return nil, 0, usage("object %d of %s: %v; nothing of the list was revoked", n, name, err)
		}
		asked = append(asked, q.Request)
	}
}

func exportedIn(object []byte) (q exported, err error) {
	if !utf8.Valid(object) { // it would be read as other text, and another name revoked
		return q, errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.DisallowUnknownFields()
	return q, dec.Decode(&q)
}

// lifetime is how long a revocation still has; ends is false where it has no end, or none that can be read.
func lifetime(q intake.Request, now time.Time) (left time.Duration, ends bool) {
	expires, err := intake.ParseTime(q.ExpiresAt, now, +1)
	return expires.Sub(now), err == nil && !expires.IsZero()
}

// onTheWay is how long what is as good as over is given all the same, so that a node whose clock is ahead, or that takes
// its time, does not refuse it and with it all that is sent along.
const onTheWay = time.Minute

// stillRevoking leaves out what has expired since it was read: a long list takes its time.
func stillRevoking(asked []intake.Request, now time.Time) []intake.Request {
	var still []intake.Request
	for _, q := range asked {
		left, ends := lifetime(q, now)
		if ends && left <= 0 {
			continue
		}
		if ends && left < onTheWay {
			q.ExpiresAt = now.Add(onTheWay).Format(time.RFC3339Nano)
		}
		still = append(still, q)
	}
	return still
}
