package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/intake"
)

type revokeCmd struct {
	Add    revokeAddCmd    `cmd:"" default:"withargs" help:"Revoke (the word add may be left out)."`
	List   revokeListCmd   `cmd:"" help:"List what is revoked, newest first."`
	Show   revokeShowCmd   `cmd:"" help:"Show one in full."`
	Lift   revokeLiftCmd   `cmd:"" help:"Take revocations back."`
	Export revokeExportCmd `cmd:"" help:"Write all of them, one JSON object per line."`
	Import revokeImportCmd `cmd:"" help:"Revoke what export wrote, or lines of JSON in its form."`
}

// atDesk is how the commands reach the revocations.
type atDesk struct {
	node
	Offline bool `help:"Open the store from the config, without asking a node."`
}

type revokeAddCmd struct {
	atDesk
	TokenStdin  bool     `help:"Read tokens from stdin, one a line. They are kept as their fingerprints."`
	TokenFile   string   `help:"Read tokens from a file, one a line." placeholder:"FILE" type:"existingfile"`
	Fingerprint []string `help:"A token by its fingerprint, as audit rows show it." placeholder:"HEX" sep:"none"`
	JTI         []string `name:"jti" help:"A token id; scoped by --issuer." placeholder:"ID" sep:"none"`
	User        []string `help:"All tokens of a user; scoped by --issuer." placeholder:"ID" sep:"none"`
	Kid         []string `help:"All tokens that a key verified, by the ID of usher keys list; scoped by --issuer." placeholder:"ID" sep:"none"`
	Issuer      string   `help:"The issuer of --jti, --user or --kid (may be left out where one is configured; * for a key that serves any). Alone: all of its tokens." placeholder:"ISS"`
	Room        []string `help:"All tokens that name a room: name, [tenant], [tenant]name or a room JID." placeholder:"ROOM" sep:"none"`
	From        string   `help:"Read many values from a file (- is stdin), one a line, of the kind that --as says." placeholder:"FILE"`
	As          string   `help:"What --from holds: token, jti, user, kid, issuer or room." placeholder:"KIND"`

	IssuedBefore string `help:"Spare tokens issued then or later: a time, a date, now, or a span ago such as 2h." placeholder:"TIME"`
	Reason       string `help:"Why, for whoever looks later."`
	Expires      string `help:"When it goes by itself: a time, a date, or a span from now such as 7d." placeholder:"TIME"`
	DryRun       bool   `help:"Change nothing; say what would be revoked and how many recent sessions it would meet."`
	JSON         bool   `help:"As JSON, one object per line."`
}

func (cmd *revokeAddCmd) Run(ctx context.Context, c *commands, s streams) error {
	asked, err := cmd.requests(s)
	if err != nil {
		return err
	}
	d, err := cmd.desk(ctx, c, s)
	if err != nil {
		return err
	}
	defer d.close()
	return send(ctx, d, asked, sending{dryRun: cmd.DryRun, json: cmd.JSON, reach: c.reach}, s)
}

// requests are what the flags ask for.
func (cmd *revokeAddCmd) requests(s streams) (asked []intake.Request, err error) {
	add := func(selector revocation.Selector, values ...string) {
		for _, v := range values {
			q := intake.Request{Selector: selector, Value: v, IssuedBefore: cmd.IssuedBefore, Reason: cmd.Reason, ExpiresAt: cmd.Expires}
			if selector.Scoped() {
				q.Issuer = cmd.Issuer
			}
			asked = append(asked, q)
		}
	}
	add(revocation.SelectToken, cmd.Fingerprint...)
	add(revocation.SelectJTI, cmd.JTI...)
	add(revocation.SelectUser, cmd.User...)
	add(revocation.SelectKey, cmd.Kid...)
	add(revocation.SelectRoom, cmd.Room...)
	if err := cmd.addMany(s, add); err != nil {
		return nil, err
	}
	if cmd.Issuer != "" && !scopes(asked) {
		if len(asked) > 0 {
			return nil, usage("--issuer: give it alone, or with what is scoped by an issuer (--jti, --user, --kid)")
		}
		add(revocation.SelectIssuer, cmd.Issuer)
	}
	for _, q := range asked { // JSON has another sign for what is no text: another name would be revoked
		if !utf8.ValidString(q.Value + q.Issuer + q.Reason) {
			return nil, usage("what names the revoked, its issuer and the reason must be UTF-8")
		}
	}
	if len(asked) == 0 {
		return nil, usage("what is to be revoked? Give --token-stdin, --fingerprint, --jti, --user, --kid, --issuer or --room")
	}
	return asked, nil
}

func scopes(asked []intake.Request) bool {
	for _, q := range asked {
		if q.Selector.Scoped() {
			return true
		}
	}
	return false
}

// addMany reads what comes in lines.
func (cmd *revokeAddCmd) addMany(s streams, add func(revocation.Selector, ...string)) error {
	kind := revocation.Selector(cmd.As)
	if (cmd.From == "") != (cmd.As == "") || cmd.As != "" && kind.Code() == 0 {
		return usage("--from and --as go together: --from FILE --as token, jti, user, kid, issuer or room")
	}
	for _, source := range []struct {
		given bool
		name  string
		kind  revocation.Selector
	}{{cmd.TokenStdin, "-", revocation.SelectToken}, {cmd.TokenFile != "", cmd.TokenFile, revocation.SelectToken}, {cmd.From != "", cmd.From, kind}} {
		if !source.given {
			continue
		}
		values, err := lines(s, source.name)
		if err != nil {
			return err
		}
		if len(values) == 0 {
			return usage("there is nothing to revoke in %s", nameOf(source.name))
		}
		for _, v := range values {
			q := intake.Request{Selector: source.kind, Issuer: cmd.Issuer, Value: v.text}
			if !source.kind.Scoped() {
				q.Issuer = ""
			}
			if err := q.Check(time.Now()); err != nil {
				return usage("line %d of %s: %v; nothing of the list was revoked", v.number, nameOf(source.name), err)
			}
			add(source.kind, v.text)
		}
	}
	return nil
}

func nameOf(path string) string {
	if path == "-" {
		return "stdin"
	}
	return path
}

// openInput opens a file, or stdin for -.
func openInput(s streams, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(s.in), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, usage("%s cannot be read (%v)", path, err)
	}
	return f, nil
}

// longestLine is longer than any token that a config lets in by default, by far.
const longestLine = 1 << 20

// line is one of a file that is not blank.
type line struct {
	number int // from 1 on, as editors count
	text   string
}

func lines(s streams, path string) (all []line, err error) {
	f, err := openInput(s, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, longestLine)
	for n := 1; scanner.Scan(); n++ {
		text := scanner.Text()
		if n == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // a mark of some editors and spreadsheets, and nobody's name begins with it
		}
		if text = strings.TrimSpace(text); text != "" {
			all = append(all, line{n, text})
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", nameOf(path), err)
	}
	return all, nil
}

// tell says what became of one.
func tell(s streams, a deskAnswer, asJSON, dryRun bool) error {
	switch {
	case asJSON && dryRun: // nobody knows whether it would be new
		return printJSON(s.out, struct {
			revocation.Revocation
			Cautions []string  `json:"cautions,omitempty"`
			DryRun   bool      `json:"dry_run"`
			Sessions *int      `json:"sessions,omitempty"`
			Since    time.Time `json:"since"`
			AtLeast  bool      `json:"at_least,omitempty"`
		}{a.Revocation, a.Cautions, a.DryRun, a.Sessions, a.Since, a.AtLeast})
	case asJSON:
		return printJSON(s.out, a)
	}
	_, err := fmt.Fprintln(s.out, sentenceOf(a, dryRun))
	return err
}

func sentenceOf(a deskAnswer, dryRun bool) string {
	what := describe(a.Revocation) + "  " + a.ID
	switch {
	case dryRun && a.Sessions == nil:
		return "would revoke   " + what
	case dryRun:
		met := fmt.Sprintf("; it would meet %d sessions of the last 24 hours", *a.Sessions)
		if a.AtLeast {
			met = strings.Replace(met, "meet", "meet at least", 1)
		}
		return "would revoke   " + what + met
	case a.New:
		return "revoked        " + what
	}
	return "known already  " + what
}

// describe says in a few words what a revocation names.
func describe(r revocation.Revocation) string {
	words := string(r.Selector) + " " + audit.Clean(r.Value)
	if r.Issuer != "" {
		words += " of " + audit.Clean(r.Issuer)
	}
	return words + r.Bounds()
}
