package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/usher-im/usher/internal/revocation/intake"
)

// deskBatch is how many go into one question: enough that a long list is quick, few enough that its bar moves. Of long
// values fewer go: a node takes 4 MiB. Of a dry run as well: for each of them the audit is searched.
const (
	deskBatch = 500
	deskBytes = 3 << 20
	dryBatch  = 20
)

// nextPart is as much of a list as goes into one question, most at most.
func nextPart(asked []intake.Request, most int) []intake.Request {
	bytes := 0
	for n, q := range asked {
		text, _ := json.Marshal(q) // of strings alone
		if bytes += len(text) + 1; n == most || n > 0 && bytes > deskBytes {
			return asked[:n]
		}
	}
	return asked
}

// told is up to how many are told one by one.
const told = 20

// sending is how a list is sent and told of.
type sending struct {
	dryRun, json bool
	// imported: the list has ends of its own, and what has come to its end meanwhile is passed over.
	imported bool
	reach    reach
}

// send revokes a list in parts, and says what became of it. Where nobody takes what it says, it revokes the rest all the same.
func send(ctx context.Context, d desk, asked []intake.Request, how sending, s streams) (err error) {
	if !how.dryRun {
		out := steadily(s.out)
		defer func() { err = errors.Join(err, out.lost()) }()
		s.out = out
	}
	most := deskBatch
	if how.dryRun {
		most = dryBatch
	}
	bar := progress(s.err, len(asked))
	said := map[string]bool{}
	sent, fresh, pending := 0, 0, false
	meets, counted := 0, false
	for from, n := 0, 0; from < len(asked); from += n {
		part := nextPart(asked[from:], most)
		n = len(part)
		if how.imported {
			if part = stillRevoking(part, time.Now()); len(part) == 0 {
				continue
			}
		}
		answers, err := d.revoke(ctx, part, how.dryRun)
		if err != nil {
			return placed(err, from, n, len(asked))
		}
		_ = bar.Add(n)
		sent += len(part)
		for _, a := range answers {
			for _, caution := range a.Cautions {
				if !said[caution] {
					said[caution] = true
					fmt.Fprintln(s.err, "warning:", how.reach.hint(caution))
				}
			}
			pending = pending || !how.dryRun && !a.Replicated
			if a.New {
				fresh++
			}
			if counted = counted || a.Sessions != nil; a.Sessions != nil && *a.Sessions > 0 {
				meets++
			}
			if !how.json && len(asked) > told {
				continue
			}
			if err := tell(s, a, how.json, how.dryRun); err != nil {
				return err
			}
		}
	}
	_ = bar.Finish()
	switch {
	case len(asked) <= told:
	case how.dryRun && !counted:
		fmt.Fprintf(s.err, "%d would be revoked.\n", sent)
	case how.dryRun:
		fmt.Fprintf(s.err, "%d would be revoked; %d of them would meet sessions of the last 24 hours (--json tells of each).\n", sent, meets)
	default:
		fmt.Fprintf(s.err, "%d revoked: %d new, %d known already.\n", sent, fresh, sent-fresh)
	}
	if sent < len(asked) {
		fmt.Fprintf(s.err, "%d are passed over: they expired while the list was sent.\n", len(asked)-sent)
	}
	if pending {
		fmt.Fprintln(s.err, "warning: the store took this, but no replica has it yet or the store writes no log: a failure now could lose it. Do the same again to be sure.")
	}
	return nil
}

// steady is an output whose end does not end what is being done: of a list that is piped into head, a part would be revoked.
type steady struct {
	to  io.Writer
	err error
}

func steadily(to io.Writer) *steady {
	signal.Ignore(syscall.SIGPIPE) // which ends a process that writes to a closed pipe
	return &steady{to: to}
}

func (o *steady) Write(p []byte) (int, error) {
	if o.err == nil {
		_, o.err = o.to.Write(p)
	}
	return len(p), nil
}

// lost says that not all that was done could be told.
func (o *steady) lost() error {
	if o.err == nil {
		return nil
	}
	return fmt.Errorf("not all that was done could be written (%w)", o.err)
}

// placed says in which part of a long list something went wrong; what lies before it is done.
func placed(err error, from, n, all int) error {
	if n == all {
		return err
	}
	placed := fmt.Errorf("of %d the first %d are done, then (%d to %d): %w", all, from, from+1, from+n, err)
	var f *failure
	if errors.As(err, &f) {
		return &failure{f.code, placed}
	}
	return placed
}

// progress shows how far a long list is, where somebody looks.
func progress(w io.Writer, n int) *progressbar.ProgressBar {
	f, ok := w.(*os.File)
	if n <= deskBatch || !ok || !term.IsTerminal(int(f.Fd())) {
		return progressbar.DefaultSilent(int64(n))
	}
	return progressbar.NewOptions(n, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("revoking"),
		progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
}
