package e2e_test

import (
	"errors"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
)

func TestMain(m *testing.M) { e2e.Main(m) }

var everyTransport = []e2e.Via{e2e.WebSocket, e2e.BOSH, e2e.TCP}

// The harness itself, against a Prosody without usher: what fails here is not usher's fault.
func TestHarness_AClientLogsInAndJoinsByEveryTransport(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := &e2e.Stack{Prosody: e2e.StartProsody(t, prosody.Options{Release: release, Domain: e2e.Domain})}
		first := s.Login(t, e2e.Who{})
		first.MustJoin("daily", "first")
		for _, via := range everyTransport {
			t.Run(string(via), func(t *testing.T) {
				v := s.Login(t, e2e.Who{Via: via})
				v.MustJoin("daily", string(via))
				first.MustExpect("the newcomer's presence", func(e *client.Element) bool {
					return e.Attr("from") == e2e.Room("daily")+"/"+string(via)
				})
				if _, err := v.Ping(e2e.Context(t)); err != nil {
					t.Error(err)
				}
				if refused := v.MustBeRefused("daily", "first"); refused.Condition != "not-acceptable" && refused.Condition != "conflict" {
					t.Errorf("a taken nick was refused with: %v", refused)
				}
			})
		}
	})
}

func TestHarness_TheEndOfAStreamIsSeenWithItsReason(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := &e2e.Stack{Prosody: e2e.StartProsody(t, prosody.Options{Release: release, Domain: e2e.Domain})}
		for _, via := range everyTransport {
			t.Run(string(via), func(t *testing.T) {
				v := s.Login(t, e2e.Who{Via: via})
				s.Lua(t, `for _, session in pairs(prosody.full_sessions) do
					session:close{ condition = "policy-violation", text = "for a test" }
				end`, nil)
				var ended *client.StreamError
				if err := v.Ended(e2e.Context(t)); !errors.As(err, &ended) {
					t.Fatalf("the stream ended with: %v", err)
				}
				if ended.Condition != "policy-violation" || ended.Text != "for a test" {
					t.Errorf("the stream ended with: %v", ended)
				}
			})
		}
	})
}
