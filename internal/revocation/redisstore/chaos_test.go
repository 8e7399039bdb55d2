//go:build chaos

package redisstore_test

import (
	"testing"
	"time"
)

// A minute of what the quick tests do for seconds: `make chaos`.

func TestChaos_CrashesForAMinute(t *testing.T) { crashAgainAndAgain(t, time.Minute) }

func TestChaos_FailoversOneAfterAnother(t *testing.T) { failOver(t, 4) }
