package audit

import (
	"fmt"
	"time"
)

// MaxLimit is the most events that one page has, whatever was asked for.
const MaxLimit = maxLimit

// Check says whether the counts that are asked for would be too many for one answer.
func (q StatsQuery) Check(now time.Time) error {
	until, since := q.Until, q.Since
	if until.IsZero() {
		until = now
	}
	if since.IsZero() {
		since = until.Add(-24 * time.Hour)
	}
	if until.Sub(since)/maxSpans >= q.Every {
		return fmt.Errorf("from %s on that is more than %d spans of %s: ask for a shorter time or for longer spans",
			since.UTC().Format(time.RFC3339), maxSpans, q.Every)
	}
	return nil
}
