package token

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/reason"
)

// Timestamps says in which unit an issuer writes its time claims.
type Timestamps string

// The units. Auto reads a value of 1e11 or more as milliseconds, each claim for itself: as seconds that is the year
// 5138, and an exp in milliseconds that is read as seconds never comes.
const (
	Auto         Timestamps = "auto"
	Seconds      Timestamps = "seconds"
	Milliseconds Timestamps = "milliseconds"
)

const (
	// leastMilliseconds is where Auto begins to read milliseconds: in them, March 1973.
	leastMilliseconds = 1e11
	// year10000 is the first millisecond that RFC 3339 cannot write.
	year10000 = 253402300800000
)

// Times are the time claims in Unix milliseconds; 0 is absent.
type Times struct{ IssuedAt, NotBefore, Expires int64 }

// Times reads the time claims in the unit that mode says. nbf and iat of 0 count as absent, because issuers write
// them so; an exp of 0 is malformed, as is whatever no clock shows.
func (c *Claims) Times(mode Timestamps) (Times, *reason.Problem) {
	var t Times
	var fault string
	if t.IssuedAt, fault = c.IssuedAt.milliseconds(mode); fault != "" {
		return Times{}, malformed("iat " + fault)
	}
	if t.NotBefore, fault = c.NotBefore.milliseconds(mode); fault != "" {
		return Times{}, malformed("nbf " + fault)
	}
	if t.Expires, fault = c.Expires.milliseconds(mode); fault != "" {
		return Times{}, malformed("exp " + fault)
	}
	// What is rounded to 0, such as 1e-300, must not pass for a token without an exp.
	if c.Expires.Set && t.Expires == 0 {
		return Times{}, malformed("exp is zero")
	}
	return t, nil
}

func (n Number) milliseconds(mode Timestamps) (ms int64, fault string) {
	if !n.Set {
		return 0, ""
	}
	if strings.HasPrefix(n.Text, "-") {
		return 0, "is negative"
	}
	// A float64 holds every millisecond up to the year 9999 exactly.
	v, err := n.float()
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, "is not a finite number"
	}
	if mode == Seconds || mode != Milliseconds && v < leastMilliseconds {
		v *= 1000
	}
	if v = math.Round(v); v >= year10000 {
		return 0, "is past the year 9999"
	}
	return int64(v), ""
}

// float reads what nearly every claim has, a whole number of few digits, without the detours of a general parser.
func (n Number) float() (float64, error) {
	var whole int64
	for _, c := range []byte(n.Text) {
		if c < '0' || c > '9' || whole >= 1e15 {
			return strconv.ParseFloat(n.Text, 64)
		}
		whole = 10*whole + int64(c-'0')
	}
	return float64(whole), nil
}

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

// Check judges t at now, in the order in which the reasons stand. The ends are those of RFC 7519, section 4.1: exp is
// the first moment at which a token is refused, nbf the first at which it is taken.
func (r TimeRules) Check(t Times, now time.Time) *reason.Problem {
	at, leeway := now.UnixMilli(), r.Leeway.Milliseconds()
	switch {
	case t.Expires != 0 && at >= t.Expires+leeway:
		return r.problem(reason.TokenExpired, "exp", t.Expires, now)
	case t.NotBefore != 0 && at < t.NotBefore-leeway:
		return r.problem(reason.TokenNotYetValid, "nbf", t.NotBefore, now)
	case t.IssuedAt != 0 && at < t.IssuedAt-leeway:
		return r.problem(reason.TokenNotYetValid, "iat", t.IssuedAt, now)
	}
	return r.checkLifetime(t)
}

func (r TimeRules) checkLifetime(t Times) *reason.Problem {
	limited := r.MaxLifetime != 0
	switch {
	case limited && t.Expires != 0 && t.IssuedAt != 0 && t.Expires-t.IssuedAt > r.MaxLifetime.Milliseconds():
		lifetime := time.UnixMilli(t.Expires).Sub(time.UnixMilli(t.IssuedAt))
		return &reason.Problem{Code: reason.LifetimeTooLong,
			Detail: fmt.Sprintf("exp is %s after iat, and %s are allowed", lifetime, r.MaxLifetime)}
	case t.Expires == 0 && (r.RequireExp || limited):
		return &reason.Problem{Code: reason.ClaimMissing, Detail: "the token has no exp"}
	case limited && t.IssuedAt == 0:
		return &reason.Problem{Code: reason.ClaimMissing, Detail: "the token has no iat, which max_lifetime needs"}
	}
	return nil
}

func (r TimeRules) problem(code reason.Code, claim string, ms int64, now time.Time) *reason.Problem {
	moment := time.UnixMilli(ms).UTC()
	away := now.Sub(moment).Round(time.Second)
	where := "before"
	if away < 0 {
		where, away = "after", -away
	}
	return &reason.Problem{Code: code, Detail: fmt.Sprintf("%s is %s, %s %s now (leeway %s)",
		claim, moment.Format(time.RFC3339), away, where, r.Leeway)}
}
