package main

import (
	"cmp"
	"io"
	"slices"
	"strings"

	pretty "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/revocation"
)

// column is one column of a table of events.
type column struct {
	head string
	of   func(*audit.Event) string
	// color is that of the cell; 0: none.
	color func(*audit.Event) text.Color
	// least is the width below which the column is not cut; 0: it is never cut.
	least int
	// rank says when a column goes where the screen is narrow: the highest first, 0 never.
	rank int
	// usual is the width taken for it where rows are shown as they come.
	usual int
}

const gap = 2

var (
	timeColumn = column{head: "TIME (UTC)", of: func(e *audit.Event) string { return shortTime(e.Time) }, usual: 19}
	idColumn   = column{head: "ID", of: func(e *audit.Event) string { return e.ID }, usual: 26}
	roomColumn = column{head: "ROOM", of: func(e *audit.Event) string { return e.Room }, least: 10, rank: 3, usual: 40}

	decisionColumns = []column{
		timeColumn,
		{head: "VERDICT", of: outcome, color: outcomeColor, least: 12, usual: 20},
		{head: "PROOF", of: proof, color: proofColor, usual: 7},
		{head: "STAGE", of: func(e *audit.Event) string { return e.Stage }, rank: 4, usual: 7},
		{head: "USER", of: func(e *audit.Event) string { return e.UserID }, color: proofColor, least: 8, rank: 2, usual: 20},
		roomColumn,
		{head: "ISSUER", of: func(e *audit.Event) string { return e.Issuer }, color: proofColor, least: 8, rank: 5, usual: 16},
		{head: "ADDRESS", of: func(e *audit.Event) string { return e.RemoteIP }, least: 10, rank: 6, usual: 15},
		idColumn,
	}
	eventColumns = []column{
		timeColumn,
		{head: "KIND", of: func(e *audit.Event) string { return string(e.Kind) }, usual: 10},
		{head: "OUTCOME", of: outcome, color: outcomeColor, least: 8, usual: 14},
		{head: "ACTOR", of: actor, color: proofColor, least: 8, rank: 2, usual: 20},
		{head: "WHAT", of: what, least: 12, rank: 1, usual: 40},
		idColumn,
	}
)

// outcome says in one word what came out: allow, or why not.
func outcome(e *audit.Event) string {
	switch {
	case e.Reason != "":
		return string(e.Reason)
	case e.Outcome != "":
		return e.Outcome
	}
	return string(e.Verdict)
}

func outcomeColor(e *audit.Event) text.Color {
	switch e.Verdict {
	case audit.Allow:
		return text.FgGreen
	case audit.Deny:
		return text.FgRed
	case audit.Unavailable:
		return text.FgYellow
	}
	return 0
}

// proof says what stands behind the names in a row: a signature, the word of whoever wrote the token, or no token.
func proof(e *audit.Event) string {
	switch {
	case e.Proven:
		return "proven"
	case tokenShown(e):
		return "claimed"
	}
	return "-"
}

func tokenShown(e *audit.Event) bool {
	return e.Fingerprint != audit.Fingerprint{} || e.Issuer != "" || e.Alg != ""
}

func proofColor(e *audit.Event) text.Color {
	if e.Kind == audit.Decision && !e.Proven {
		return text.Faint
	}
	return 0
}

func actor(e *audit.Event) string {
	if e.Actor == "" {
		return e.UserID
	}
	return e.Actor
}

func what(e *audit.Event) string {
	words := []string{}
	room := e.Room
	if isRevocation(e) {
		room = "" // detail has it
	}
	for _, w := range []string{e.RevocationID, e.DecisionID, room, detail(e)} {
		if w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

func isRevocation(e *audit.Event) bool { return e.Kind == audit.Revocation || e.Kind == audit.Lift }

// detail also says what a revocation names: once it is lifted or has expired, nothing else does.
func detail(e *audit.Event) string {
	if !isRevocation(e) {
		return e.Detail
	}
	named, why, reasoned := strings.Cut(e.Detail, ": ")
	selector, bounds, bounded := strings.Cut(named, ", ")
	if bounded {
		bounds = ", " + bounds
	}
	value, scope := cmp.Or(e.JTI, e.UserID, e.Kid), ""
	switch revocation.Selector(selector) {
	case revocation.SelectToken:
		value = e.Fingerprint.String()
	case revocation.SelectIssuer:
		value = e.Issuer
	case revocation.SelectRoom:
		if value = e.Room; e.Tenant != "" {
			value = "[" + e.Tenant + "]" + value
		}
	default:
		scope = " of " + e.Issuer
	}
	if value == "" { // put back by a node that knew no more
		return e.Detail
	}
	if reasoned {
		why = ": " + why
	}
	return selector + " " + value + scope + bounds + why
}

// eventTable shows events when all are there, as wide as they need.
type eventTable struct {
	columns []column
	screen  screen
	events  []audit.Event
}

func (t *eventTable) add(e audit.Event) error {
	t.events = append(t.events, e)
	return nil
}

func (t *eventTable) end() error {
	if len(t.events) == 0 {
		return nil
	}
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = text.StringWidth(c.head)
		for n := range t.events {
			widths[i] = max(widths[i], text.StringWidth(audit.Clean(c.of(&t.events[n]))))
		}
	}
	columns, widths := fit(t.columns, widths, t.screen.width)
	w := pretty.NewWriter()
	style := pretty.StyleDefault
	style.Options = pretty.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", strings.Repeat(" ", gap)
	w.SetStyle(style)
	head := pretty.Row{}
	for _, c := range columns {
		head = append(head, c.head)
	}
	w.AppendHeader(head)
	for n := range t.events {
		row := pretty.Row{}
		for _, words := range cells(columns, widths, &t.events[n], t.screen) {
			row = append(row, words)
		}
		w.AppendRow(row)
	}
	return writeLines(t.screen.w, w.Render())
}

// writeLines writes lines without the blanks at their ends.
func writeLines(w io.Writer, lines string) error {
	var b strings.Builder
	for line := range strings.SplitSeq(lines, "\n") {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cells are a row's texts, fit for a person's eyes and for their columns.
func cells(columns []column, widths []int, e *audit.Event, s screen) []string {
	row := make([]string, len(columns))
	for i, c := range columns {
		row[i] = cut(audit.Clean(c.of(e)), widths[i])
		if c.color != nil {
			if color := c.color(e); color != 0 {
				row[i] = s.paint(color, row[i])
			}
		}
	}
	return row
}

// fit chooses columns and their widths for a screen: columns go, the highest rank first, until what is left can be cut
// to the width, and then the widest are cut first.
func fit(columns []column, widths []int, width int) ([]column, []int) {
	columns, widths = slices.Clone(columns), slices.Clone(widths)
	if width <= 0 {
		return columns, widths
	}
	least := func(i int) int {
		if columns[i].least == 0 {
			return widths[i]
		}
		return min(columns[i].least, widths[i])
	}
	for {
		total, last := gap*(len(columns)-1), -1
		for i := range columns {
			total += least(i)
			if columns[i].rank > 0 && (last < 0 || columns[i].rank > columns[last].rank) {
				last = i
			}
		}
		if total <= width || last < 0 {
			break
		}
		columns, widths = slices.Delete(columns, last, last+1), slices.Delete(widths, last, last+1)
	}
	for {
		total, widest := gap*(len(columns)-1), -1
		for i := range columns {
			total += widths[i]
			if widths[i] > least(i) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if total <= width || widest < 0 {
			return columns, widths
		}
		widths[widest]--
	}
}

// liveTable shows events as they come, in columns of usual width.
type liveTable struct {
	columns []column
	widths  []int
	screen  screen
	begun   bool
}

func newLiveTable(all []column, s screen) *liveTable {
	usual := make([]int, len(all))
	for i, c := range all {
		usual[i] = max(c.usual, len(c.head))
	}
	columns, widths := fit(all, usual, s.width)
	return &liveTable{columns: columns, widths: widths, screen: s}
}

func (t *liveTable) add(e audit.Event) error {
	var lines string
	if !t.begun {
		t.begun = true
		heads := make([]string, len(t.columns))
		for i, c := range t.columns {
			heads[i] = c.head
		}
		lines = t.line(heads) + "\n"
	}
	return writeLines(t.screen.w, lines+t.line(cells(t.columns, t.widths, &e, t.screen)))
}

func (t *liveTable) end() error { return nil }

func (t *liveTable) line(words []string) string {
	for i := range words {
		words[i] = text.AlignLeft.Apply(words[i], t.widths[i])
	}
	return strings.Join(words, strings.Repeat(" ", gap))
}
