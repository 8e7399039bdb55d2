package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/inquiry"
)

type auditStatsCmd struct {
	node
	auditFilters
	By      string `help:"Count by reason, room, issuer, user or ip, the 50 with most events (${default})." default:"reason" placeholder:"WHAT"`
	Every   string `help:"Span of one count (${default}). A narrow screen joins several in one bar." default:"5m" placeholder:"SPAN"`
	JSON    bool   `help:"One JSON object per count and line." xor:"form"`
	CSV     bool   `name:"csv" help:"As CSV, with a head." xor:"form"`
	Offline bool   `help:"Read the store that the config names, without asking a node."`
}

func (cmd *auditStatsCmd) Run(ctx context.Context, c *commands, s streams) error {
	now := time.Now()
	if cmd.Since == "" && cmd.Until == "" {
		cmd.Since = "24h"
	}
	v, err := cmd.values(s, inquiry.Counts, now)
	if err != nil {
		return err
	}
	v["by"], v["every"] = cmd.By, cmd.Every
	q, err := inquiry.Stats(v, now)
	if err != nil {
		return misused(err)
	}
	a, err := cmd.archive(ctx, c, s, cmd.Offline)
	if err != nil {
		return err
	}
	defer a.close()
	counts, err := a.counts(ctx, v)
	if err != nil {
		return err
	}
	sayLeftOut(s.err, counts)
	switch {
	case cmd.JSON:
		return printLines(s.out, counts)
	case cmd.CSV:
		return writeCSVCounts(s, counts)
	}
	if len(counts) == 0 {
		fmt.Fprintln(s.err, "nothing was decided in that time")
		return nil
	}
	return draw(screenOf(s.out), newChart(counts, q, now))
}

// sayLeftOut tells who adds the counts up that there may be more.
func sayLeftOut(w io.Writer, counts []audit.Count) {
	keys := map[string]bool{}
	for _, one := range counts {
		keys[one.Key] = true
	}
	if len(keys) >= audit.MostKeys {
		fmt.Fprintf(w, "Counted are the %d with most events, others may be left out: narrow the question to see them.\n", len(keys))
	}
}

func writeCSVCounts(s streams, counts []audit.Count) error {
	w := csv.NewWriter(s.out)
	rows := [][]string{{"time", "key", "count"}}
	for _, c := range counts {
		rows = append(rows, []string{c.Time.UTC().Format(time.RFC3339), audit.Cell(c.Key), strconv.FormatInt(c.Count, 10)})
	}
	return w.WriteAll(rows)
}

// chart is counts ready to be drawn: one row a key, one value a span.
type chart struct {
	since time.Time
	every time.Duration
	rows  []chartRow
}

type chartRow struct {
	key    string
	values []int64
	total  int64
}

func newChart(counts []audit.Count, q audit.StatsQuery, now time.Time) chart {
	since, until := q.Whole(now)
	first, every := since.UnixMilli(), q.Every.Milliseconds()
	spans := int((until.UnixMilli() - first) / every)
	c := chart{since: since.UTC(), every: q.Every}
	at := map[string]int{}
	for _, one := range counts {
		n, known := at[one.Key]
		if !known {
			n = len(c.rows)
			at[one.Key] = n
			c.rows = append(c.rows, chartRow{key: one.Key, values: make([]int64, spans)})
		}
		if i := int((one.Time.UnixMilli() - first) / every); i >= 0 && i < spans {
			c.rows[n].values[i] += one.Count
			c.rows[n].total += one.Count
		}
	}
	slices.SortStableFunc(c.rows, func(a, b chartRow) int { return cmp.Compare(b.total, a.total) })
	return c
}

// merged puts spans together until there are at most so many.
func (c chart) merged(most int) chart {
	k := max(1, (len(c.rows[0].values)+most-1)/most)
	out := chart{since: c.since, every: c.every * time.Duration(k)}
	for _, r := range c.rows {
		wide := chartRow{key: r.key, total: r.total}
		for part := range slices.Chunk(r.values, k) {
			var sum int64
			for _, v := range part {
				sum += v
			}
			wide.values = append(wide.values, sum)
		}
		out.rows = append(out.rows, wide)
	}
	return out
}

var heights = []rune(" ▁▂▃▄▅▆▇█")

// bars draws each value against the highest; what is there at all is never drawn as nothing.
func (r chartRow) bars(highest int64) string {
	var b strings.Builder
	for _, v := range r.values {
		n := int64(len(heights) - 1)
		b.WriteRune(heights[(v*n+highest-1)/highest])
	}
	return b.String()
}

// plainWidth is how wide a chart is where the width is not known.
const plainWidth = 100

// draw writes a row for each key: its bars, its sum, and what its highest bar stands for. Each key has a scale of its
// own, or the few denies among many allows could not be seen.
func draw(s screen, c chart) error {
	label, total := 0, 0
	for i := range c.rows {
		c.rows[i].key = cut(audit.Clean(c.rows[i].key), 32)
		label, total = max(label, text.StringWidth(c.rows[i].key)), max(total, len(strconv.FormatInt(c.rows[i].total, 10)))
	}
	width := cmp.Or(s.width, plainWidth)
	const peak = len("  at most ") // and a number no longer than the total
	c = c.merged(max(8, width-label-gap-gap-total-peak-total))
	spans := len(c.rows[0].values)
	until := c.since.Add(time.Duration(spans) * c.every)
	lines := fmt.Sprintf("%s to %s UTC, one bar for %s\n", shortTime(c.since), shortTime(until), spanText(c.every))
	for _, r := range c.rows {
		highest := max(1, slices.Max(r.values))
		color := text.FgRed
		if r.key == audit.Allowed {
			color = text.FgGreen
		}
		lines += fmt.Sprintf("%s  %s  %*d  at most %d\n", text.AlignLeft.Apply(r.key, label), s.paint(color, r.bars(highest)), total, r.total, highest)
	}
	return writeLines(s.w, strings.TrimRight(lines, "\n"))
}

// spanText is 5m, not 5m0s.
func spanText(d time.Duration) string {
	words := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(words, zero) {
			words = strings.TrimSuffix(words, zero[1:])
		}
	}
	return words
}
