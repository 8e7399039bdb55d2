package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/server"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func hostile() audit.Event {
	return audit.Event{
		Time: noon, ID: audit.NewID(noon), Kind: audit.Decision, Verdict: audit.Deny, Reason: reason.SignatureInvalid, Stage: "join", Issuer: "\u202edesrever",
		UserID: `x" of the issuer "trusted`, Room: "a\x1b[31mroom\r\nwith lines", RemoteIP: "192.0.2.1", Host: "meet.example.com", Fingerprint: audit.Fingerprint{1},
		Detail: "\x1b]0;title\x07", DecisionID: "$(reboot)",
	}
}

func tableOf(t *testing.T, s screen, events ...audit.Event) string {
	t.Helper()
	var b strings.Builder
	s.w = &b
	table := eventTable{columns: decisionColumns, screen: s}
	for _, e := range events {
		if err := table.add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.end(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable_FitsEveryScreenAndKeepsTheIDWhole(t *testing.T) {
	e := hostile()
	e.Room, e.UserID = strings.Repeat("r", 200), strings.Repeat("u", 200)
	for width := 80; width < 300; width += 7 {
		out := tableOf(t, screen{width: width}, e, hostile())
		for line := range strings.Lines(out) {
			if n := text.StringWidth(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("a line of %d on a screen of %d:\n%s", n, width, line)
			}
		}
		if !strings.Contains(out, e.ID) || !strings.Contains(out, "claimed") {
			t.Errorf("at %d the id or what it is worth is missing:\n%s", width, out)
		}
	}
	if out := tableOf(t, screen{}, e); !strings.Contains(out, e.Room) {
		t.Errorf("a file is no screen, nothing is cut there:\n%s", out)
	}
}

func TestTable_TextFromTokensNeitherPaintsNorBreaksLines(t *testing.T) {
	e := hostile()
	out := tableOf(t, screen{}, e)
	if strings.ContainsAny(out, "\x1b\r\u202e") || strings.Count(out, "\n") != 2 {
		t.Errorf("%q", out)
	}
	painted := tableOf(t, screen{color: true}, e)
	if !strings.Contains(painted, text.FgRed.EscapeSeq()+"signature_invalid") || strings.Contains(painted, "\x1b[31mroom") {
		t.Errorf("%q", painted)
	}
}

func TestTable_SaysWhatARevocationNames(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	for want, r := range map[string]revocation.Revocation{
		"user u8 of my-app, issued before 2026-11-24T10:00:00Z, until 2026-11-24T12:00:00Z: a: b": {
			Selector: revocation.SelectUser, Issuer: "my-app", Value: "u8", Reason: "a: b", IssuedBefore: now, ExpiresAt: now.Add(2 * time.Hour)},
		"user u9 of my-app: fired":                       {Selector: revocation.SelectUser, Issuer: "my-app", Value: "u9", Reason: "fired"},
		"jti j:1 of my-app":                              {Selector: revocation.SelectJTI, Issuer: "my-app", Value: "j:1"},
		"kid 2026-a of my-app: a: b":                     {Selector: revocation.SelectKey, Issuer: "my-app", Value: "2026-a", Reason: "a: b"},
		"issuer my-app: broken":                          {Selector: revocation.SelectIssuer, Value: "my-app", Reason: "broken"},
		"room [acme]standup":                             {Selector: revocation.SelectRoom, Value: "[acme]standup"},
		"room [acme]":                                    {Selector: revocation.SelectRoom, Value: "[acme]"},
		"room standup":                                   {Selector: revocation.SelectRoom, Value: "standup"},
		"token 000102030405060708090a0b0c0d0e0f: leaked": {Selector: revocation.SelectToken, Value: "000102030405060708090a0b0c0d0e0f", Reason: "leaked"},
	} {
		r, err := revocation.Prepare(r, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []audit.Kind{audit.Revocation, audit.Lift} {
			e := server.DeskEvent(kind, r, "cred:soc", now)
			if got := what(&e); got != r.ID+" "+want {
				t.Errorf("%s: %q, want %q", kind, got, want)
			}
			var b strings.Builder
			if err := explain(screen{w: &b}, &e, reach{}); err != nil || !strings.Contains(b.String(), want+".") {
				t.Errorf("%s is explained as %q, %v", want, b.String(), err)
			}
		}
	}
}

func TestShow_AForeignTextCannotEndItsQuotationNorBecomeACommand(t *testing.T) {
	var b strings.Builder
	e := hostile()
	if err := explain(screen{w: &b}, &e, reach{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `of the user "x\" of the issuer \"trusted" and the issuer`) || strings.ContainsAny(b.String(), "\x1b\u202e\x07") {
		t.Errorf("%s", b.String())
	}
	b.Reset()
	e.Kind = audit.Ejection
	if err := explain(screen{w: &b}, &e, reach{}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "reboot") {
		t.Errorf("%s", b.String())
	}
}

func TestShow_EveryReasonIsExplained(t *testing.T) {
	for _, i := range reason.All() {
		e := audit.Event{Time: noon, ID: "x", Kind: audit.Decision, Verdict: audit.Deny, Reason: i.Code, Proven: true, Stage: "connect", Issuer: "my-app", Host: "h"}
		if i.Unavailable {
			e.Verdict = audit.Unavailable
		}
		var b strings.Builder
		if err := explain(screen{w: &b, width: 80}, &e, reach{}); err != nil {
			t.Fatal(err)
		}
		words := strings.Join(strings.Fields(b.String()), " ")
		if !strings.Contains(words, i.Remedy) || !strings.Contains(words, i.Message) || !strings.Contains(words, "check ") {
			t.Errorf("%s:\n%s", i.Code, b.String())
		}
		for line := range strings.Lines(b.String()) {
			if text.StringWidth(line) > 81 {
				t.Errorf("%s: a line is wider than the screen: %s", i.Code, line)
			}
		}
	}
}

func TestStats_BarsKeepTheirHeightAndNothingThatHappenedIsBlank(t *testing.T) {
	q := audit.StatsQuery{Query: audit.Query{Since: noon.Add(-time.Hour), Until: noon}, Every: 5 * time.Minute}
	c := newChart([]audit.Count{
		{Time: noon.Add(-time.Hour), Key: "allowed", Count: 1000}, {Time: noon.Add(-5 * time.Minute), Key: "allowed", Count: 1},
		{Time: noon.Add(-30 * time.Minute), Key: "room_mismatch", Count: 3},
	}, q, noon)
	if len(c.rows) != 2 || c.rows[0].key != "allowed" || len(c.rows[0].values) != 12 {
		t.Fatalf("%+v", c)
	}
	if got := c.rows[0].bars(1000); got != "█          ▁" {
		t.Errorf("%q", got)
	}
	if got := c.merged(6); len(got.rows[0].values) != 6 || got.every != 10*time.Minute || got.rows[1].values[3] != 3 {
		t.Errorf("%+v", got)
	}
	var b strings.Builder
	if err := draw(screen{w: &b, width: 80}, c); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if text.StringWidth(line) > 81 {
			t.Errorf("wider than the screen: %s", line)
		}
	}
	if !strings.Contains(b.String(), "one bar for 5m\n") || !strings.Contains(b.String(), "1001  at most 1000") {
		t.Errorf("%s", b.String())
	}
}

func TestStats_SaysThatKeysMayBeLeftOut(t *testing.T) {
	for n, want := range map[int]bool{audit.MostKeys - 1: false, audit.MostKeys: true} {
		tally := audit.StatsQuery{By: "ip", Every: time.Hour}.Tally()
		for i := range n {
			tally.Add(0, fmt.Sprint("192.0.2.", i), 1)
			tally.Add(int64(time.Hour/time.Millisecond), fmt.Sprint("192.0.2.", i), 1)
		}
		counts, err := tally.Counts()
		must(t, err)
		var words strings.Builder
		if sayLeftOut(&words, counts); strings.Contains(words.String(), "left out") != want {
			t.Errorf("of %d keys it says %q", n, words.String())
		}
	}
}
