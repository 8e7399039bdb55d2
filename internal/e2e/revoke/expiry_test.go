package revoke_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/reason"
)

// Leeway and grace are short, so that a test can wait for both to pass.
const (
	leeway = time.Second
	grace  = time.Second
	closes = `  default:
    domain: meet.example.com
    rooms: {create: allow}
    on_expiry: %s
    on_expiry_grace: 1s
    issuers:
      - {iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi], time: {leeway: 1s}}
`
)

// expiring is a token of a user that ends at a time.
func expiring(t *testing.T, name string, at time.Time) string {
	t.Helper()
	return e2e.Token(t, e2e.Claims{"jti": fmt.Sprint(name, at.Unix()), "exp": at.Unix(), "context": user(name)})
}

func TestExpiry_CloseEndsASessionWhoseTokenHasRunOut(t *testing.T) {
	each(t, e2e.Setup{Profiles: fmt.Sprintf(closes, "close")}, func(t *testing.T, s *scene) {
		neighbour := s.enter(t, e2e.Who{Token: holder(t, "neighbour")}, "daily", "neighbour")
		end := time.Now().Truncate(time.Second).Add(3 * time.Second)
		inside := map[e2e.Via]*e2e.Visitor{}
		for _, via := range transports {
			inside[via] = s.enter(t, e2e.Who{Via: via, Token: expiring(t, string(via), end)}, "daily", string(via))
		}
		sleeper := s.enter(t, e2e.Who{Token: expiring(t, "sleeper", end)}, "daily", "sleeper")
		s.hibernate(t, sleeper)
		for via, v := range inside {
			text := mustBePutOutFor(t, reason.TokenExpired, v, "daily", string(via))
			if now := time.Now(); now.Before(end.Add(leeway + grace)) {
				t.Errorf("by %s it was closed at %s, before leeway and grace were over (token's end %s)", via, now, end)
			}
			became := event(t, s.Verifier, `"decision_id":"`+decisionIn(t, text)+`"`)
			if became.Outcome != "ejected" {
				t.Errorf("by %s it is recorded as %+v", via, became)
			}
		}
		mustSeeKick(neighbour, "daily", "sleeper")
		mustStay(neighbour, "daily")
	})
}

func TestExpiry_ASessionThatCameBackWithALaterTokenStays(t *testing.T) {
	each(t, e2e.Setup{Profiles: fmt.Sprintf(closes, "close")}, func(t *testing.T, s *scene) {
		neighbour := s.enter(t, e2e.Who{Token: holder(t, "neighbour")}, "daily", "neighbour")
		end := time.Now().Truncate(time.Second).Add(3 * time.Second)
		alice := s.enter(t, e2e.Who{Token: expiring(t, "alice", end)}, "daily", "alice")
		other := s.enter(t, e2e.Who{Token: expiring(t, "other", end)}, "daily", "other")
		id := s.hibernate(t, alice)
		back, answer := s.resume(t, e2e.WebSocket, "", expiring(t, "alice", end.Add(time.Hour)), id)
		if answer != "resumed" {
			t.Fatalf("with a later token: %s", answer)
		}
		mustBePutOutFor(t, reason.TokenExpired, other, "daily", "other")
		mustStay(back, "daily")
		mustStay(neighbour, "daily")
	})
}

func TestExpiry_KeepLetsASessionStayAndLetsItNowhereElse(t *testing.T) {
	each(t, e2e.Setup{Profiles: fmt.Sprintf(closes, "keep")}, func(t *testing.T, s *scene) {
		alice := s.enter(t, e2e.Who{Token: expiring(t, "alice", time.Now().Add(time.Second))}, "daily", "alice")
		for n := 0; ; n++ {
			_, err := alice.Join(e2e.Context(t), e2e.Room(fmt.Sprint("other-", n)), "alice")
			var refused *client.StanzaError
			if errors.As(err, &refused) && strings.HasPrefix(refused.Text, reason.TokenExpired.Info().Message) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		mustStay(alice, "daily")
		// Nor is she put out when everybody is asked about, unless she is revoked.
		s.Lua(t, reload, nil)
		if _, err := s.Gate.Arrived(e2e.Context(t), "recheck", 1); err != nil {
			t.Fatal(err)
		}
		mustStay(alice, "daily")
		s.revoke(t, everyTokenOf("alice"))
		mustBePutOut(t, alice, "daily", "alice")
	})
}
