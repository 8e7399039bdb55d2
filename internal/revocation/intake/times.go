package intake

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var errTime = errors.New("is not a time: write 2026-11-24T10:00:00Z, 2026-11-24, now, or a span such as 2h or 7d")

// ParseTime reads a time as people write it. A span is counted from now, back for direction -1 and on for +1. Empty is
// the zero time.
func ParseTime(text string, now time.Time, direction time.Duration) (time.Time, error) {
	switch text = strings.TrimSpace(text); text {
	case "":
		return time.Time{}, nil
	case "now":
		return now, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return plausible(t)
		}
	}
	span, ok := ParseSpan(text)
	if !ok {
		return time.Time{}, errTime
	}
	return plausible(now.Add(direction * span))
}

// plausible keeps to what stores can hold and JSON can say.
func plausible(t time.Time) (time.Time, error) {
	if year := t.UTC().Year(); year < 1971 || year > 9999 {
		return time.Time{}, errTime
	}
	return t, nil
}

// ParseSpan reads Go's durations, and days and weeks besides.
func ParseSpan(text string) (time.Duration, bool) {
	if d, err := time.ParseDuration(text); err == nil {
		return d, d >= 0
	}
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, found := strings.CutSuffix(text, unit); found {
			n, err := strconv.ParseInt(number, 10, 64)
			return time.Duration(n) * length, err == nil && n >= 0 && n <= math.MaxInt64/int64(length)
		}
	}
	return 0, false
}
