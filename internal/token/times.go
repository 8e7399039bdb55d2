package token

import (
	"time"

	"github.com/usher-im/usher/internal/reason"
)

// Timestamps says in which unit an issuer writes its time claims.
type Timestamps string

// The units. Auto reads a value of 1e11 or more as milliseconds, each claim for itself.
const (
	Auto         Timestamps = "auto"
	Seconds      Timestamps = "seconds"
	Milliseconds Timestamps = "milliseconds"
)

// Times are the time claims in Unix milliseconds; 0 is absent.
type Times struct{ IssuedAt, NotBefore, Expires int64 }

// TimeRules is what an issuer block asks of a token's times.
type TimeRules struct {
	// Leeway forgives clocks that differ, on both ends.
	Leeway time.Duration
	// RequireExp refuses a token that never expires.
	RequireExp bool
	// MaxLifetime bounds exp - iat; 0 does not.
	MaxLifetime time.Duration
	// Timestamps is the unit for Claims.Times; empty is Auto.
	Timestamps Timestamps
}

// Times reads the time claims in the unit that mode says.
func (c *Claims) Times(mode Timestamps) (Times, *reason.Problem) {
	return Times{}, nil
}

// Check judges t at now.
func (r TimeRules) Check(t Times, now time.Time) *reason.Problem {
	return nil
}
