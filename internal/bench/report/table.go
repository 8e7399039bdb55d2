package report

import (
	"fmt"
	"io"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/table"
)

// Print writes the rows as a table, part by part.
func (r *Report) Print(w io.Writer) { r.render(w, table.Writer.Render) }

// Markdown writes them as docs/performance.md has them.
func (r *Report) Markdown(w io.Writer) { r.render(w, table.Writer.RenderMarkdown) }

func (r *Report) render(w io.Writer, as func(table.Writer) string) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"part", "what", "target", "seen", "least … most", "", "beside"})
	part := ""
	for _, row := range r.Rows {
		if part != "" && part != row.Part {
			t.AppendSeparator()
		}
		part = row.Part
		t.AppendRow(table.Row{row.Part, row.What, row.target(), figure(row.Median, row.Unit),
			figure(row.Least, "") + " … " + figure(row.Most, ""), row.verdict(), row.Beside})
	}
	fmt.Fprintln(w, as(t))
}

func (r Row) target() string {
	switch {
	case r.Target == nil:
		return ""
	case r.Target.Least:
		return "≥ " + figure(r.Target.At, r.Unit)
	}
	return "≤ " + figure(r.Target.At, r.Unit)
}

func (r Row) verdict() string {
	switch {
	case r.Met == nil:
		return ""
	case *r.Met:
		return "met"
	}
	return "NOT MET"
}

// figure writes three digits that count.
func figure(v float64, unit string) string {
	digits := 0
	switch {
	case v == float64(int64(v)) && v < 1000:
	case v < 10:
		digits = 2
	case v < 100:
		digits = 1
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	switch unit {
	case "":
		return text
	case "×", "%":
		return text + unit
	}
	return text + " " + unit
}
