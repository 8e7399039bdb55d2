package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/usher-im/usher/internal/audit"
)

type auditShowCmd struct {
	node
	ID      string `arg:"" help:"Decision id, as the client, the log or a list shows it."`
	JSON    bool   `help:"As JSON."`
	Offline bool   `help:"Read the store that the config names, without asking a node."`
}

func (cmd *auditShowCmd) Run(ctx context.Context, c *commands, s streams) error {
	a, err := cmd.archive(ctx, c, s, cmd.Offline)
	if err != nil {
		return err
	}
	defer a.close()
	e, found, err := a.get(ctx, cmd.ID)
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("no event has the id %s: it may be older than audit.retention, erased, or not stored yet (then ask again in a second)", audit.Clean(cmd.ID))
	case cmd.JSON:
		return jsonEvents{s.out}.add(e)
	}
	return explain(screenOf(s.out), &e, c.reach)
}

// explain tells one event in full sentences.
func explain(s screen, e *audit.Event, r reach) error {
	t := telling{screen: s, reach: r}
	if e.Kind == audit.Decision {
		t.decision(e)
	} else {
		t.other(e)
	}
	_, err := io.WriteString(s.w, t.b.String())
	return err
}

// telling is a text of paragraphs with a word in front, wrapped to the screen.
type telling struct {
	screen screen
	reach  reach
	b      strings.Builder
}

const margin = 12

func (t *telling) say(about, format string, a ...any) {
	words := fmt.Sprintf(format, a...)
	if t.screen.width > 2*margin {
		words = text.WrapSoft(words, t.screen.width-margin)
	}
	for i, line := range strings.Split(words, "\n") {
		if i > 0 {
			about = ""
		}
		t.b.WriteString(strings.TrimRight(text.AlignLeft.Apply(about, margin)+line, " ") + "\n")
	}
}

// command is a line to be copied, and so never wrapped. It is left out where the argument would mean something to a
// shell: no id of ours does.
func (t *telling) command(line, argument string) {
	if strings.Trim(argument, idLetters) == "" {
		t.b.WriteString(strings.Repeat(" ", margin) + t.reach.further(line+" "+argument) + "\n")
	}
}

const idLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (t *telling) decision(e *audit.Event) {
	at := e.Time.UTC()
	t.say("what", "On %s at %s UTC, %s %s%s.", at.Format("2 January 2006"), at.Format("15:04:05.000"), who(e), request(e), from(e))
	t.verdict(e)
	if e.Detail != "" {
		t.say("why", "%s", sentence(audit.Clean(e.Detail)))
	}
	t.proof(e)
	if e.Verdict != audit.Allow {
		if remedy := e.Reason.Info().Remedy; remedy != "" {
			t.say("what to do", "%s", t.reach.hint(remedy))
		}
	}
	t.leads(e)
}

// who is whoever showed the token. Where no signature stands behind a name, the sentence says so.
func who(e *audit.Event) string {
	name := e.UserID
	if e.UserName != "" {
		name = e.UserName + " (" + e.UserID + ")"
	}
	switch {
	case !tokenShown(e):
		return "somebody without a readable token"
	case e.Proven && name != "":
		return "the user " + quoted(name) + " of the issuer " + quoted(e.Issuer)
	case e.Proven:
		return "the bearer of a token of the issuer " + quoted(e.Issuer)
	case name != "":
		return "somebody whose token claims to be of the user " + quoted(name) + " and the issuer " + quoted(e.Issuer)
	}
	return "somebody whose token claims to be of the issuer " + quoted(e.Issuer)
}

func request(e *audit.Event) string {
	host := " on the host " + quoted(e.Host)
	room := "the room " + quoted(e.Room)
	switch e.Stage {
	case "create":
		return "asked to open " + room + host
	case "join":
		return "asked to enter " + room + host
	case "recheck":
		if e.Room != "" {
			return "was asked about again while in " + room + host
		}
		return "was asked about again while connected" + host
	}
	words := "asked to connect to the host " + quoted(e.Host)
	if e.Room != "" {
		words += " (on the way to " + room + ")"
	}
	return words
}

func from(e *audit.Event) string {
	words := ""
	if e.RemoteIP != "" {
		words += " from the address " + audit.Clean(e.RemoteIP)
	}
	if e.UserAgent != "" {
		words += " with " + quoted(e.UserAgent)
	}
	return words
}

func (t *telling) verdict(e *audit.Event) {
	by := ""
	if e.Node != "" {
		by += " by the node " + quoted(e.Node)
	}
	if e.Profile != "" {
		by += " under the profile " + quoted(e.Profile)
	}
	took := time.Duration(e.LatencyUS) * time.Microsecond
	if e.Verdict == audit.Allow {
		t.say("verdict", "%s%s, within %s.", t.screen.paint(text.FgGreen, "Allowed"), by, took)
		return
	}
	word := t.screen.paint(text.FgRed, "Denied")
	if e.Verdict == audit.Unavailable {
		word = t.screen.paint(text.FgYellow, "No verdict could be had")
	}
	t.say("verdict", "%s%s, within %s: %s.", word, by, took, e.Reason)
	if message := e.Reason.Info().Message; message != string(e.Reason) {
		t.say("", "The person was told: %q", message)
	}
	switch check := e.Reason.Check(); check {
	case "":
	case "load":
		t.say("check", "The token was not looked at: the verifier, or the address that asked, had too much going on.")
	case "profile":
		t.say("check", "No token was looked at: the question itself failed, because of its profile.")
	case "shape":
		t.say("check", "The check that failed is \"shape\", the first of all: no other was made.")
	default:
		t.say("check", "The check that failed is %q; those before it passed, those after it were not made.", check)
	}
}

func (t *telling) proof(e *audit.Event) {
	switch {
	case e.Proven:
		key := ""
		if e.Kid != "" {
			key = " by the key " + quoted(e.Kid)
		}
		if e.Alg != "" {
			key += " (" + audit.Clean(e.Alg) + ")"
		}
		t.say("proof", "The token's signature was proven%s.", key)
	case tokenShown(e):
		t.say("proof", "%s The signature was not proven: user, issuer, subject and all else that the token names is only what it claims, "+
			"and anybody can write such a token. Do not hold it against those it names.", t.screen.paint(text.FgYellow, "Claimed only."))
	}
}

// leads are the commands to go on with.
func (t *telling) leads(e *audit.Event) {
	if e.RevocationID != "" {
		t.say("revocation", "See who revoked it, and why:")
		t.command("usher revoke show", e.RevocationID)
	}
	fingerprint := e.Fingerprint.String()
	if fingerprint == "" {
		return
	}
	t.say("the token", "See all that became of it:")
	t.command("usher audit --fingerprint", fingerprint)
	if e.Reason.Check() == "revocation" && e.RevocationID != "" {
		return
	}
	if e.Proven {
		t.say("", "Revoke it, so that nobody gets in with it:")
	} else {
		t.say("", "Revoke it (a token whose signature is wrong gets in nowhere anyway):")
	}
	t.command("usher revoke --fingerprint", fingerprint)
}

// other tells an event that is no decision.
func (t *telling) other(e *audit.Event) {
	at := e.Time.UTC()
	what := map[audit.Kind]string{
		audit.Revocation: "something was revoked", audit.Lift: "a revocation was lifted",
		audit.Ejection: "a session was to be put out", audit.Admin: "something happened on a listener",
	}[e.Kind]
	if what == "" {
		what = "an event of kind " + quoted(string(e.Kind)) + " was recorded"
	}
	by := ""
	if e.Actor != "" {
		by = " by " + quoted(e.Actor)
	}
	t.say("what", "On %s at %s UTC, %s%s%s.", at.Format("2 January 2006"), at.Format("15:04:05.000"), what, by, from(e))
	if e.Outcome != "" {
		t.say("outcome", "%s", sentence(audit.Clean(e.Outcome)))
	}
	if e.Detail != "" {
		t.say("detail", "%s", sentence(audit.Clean(detail(e))))
	}
	if e.Session != "" {
		t.say("session", "%s", audit.Clean(e.Session))
	}
	if e.DecisionID != "" {
		t.say("decision", "See the decision behind it:")
		t.command("usher audit show", e.DecisionID)
	}
	if e.RevocationID != "" {
		t.say("revocation", "See it:")
		t.command("usher revoke show", e.RevocationID)
	}
}

// quoted marks where a foreign text begins and ends; a quotation mark in it cannot pretend that it ends.
func quoted(words string) string {
	return `"` + strings.ReplaceAll(audit.Clean(words), `"`, `\"`) + `"`
}

// sentence ends as a sentence does.
func sentence(words string) string {
	if words == "" || strings.HasSuffix(words, ".") {
		return words
	}
	return words + "."
}
