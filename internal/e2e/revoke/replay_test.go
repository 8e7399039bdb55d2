package revoke_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/reason"
	"github.com/usher-im/usher/internal/revocation"
)

// once is a profile where a jti connects once, with a grace.
func once(grace string) string {
	return `  default:
    domain: meet.example.com
    rooms: {create: allow}
    issuers:
      - {iss: my-app, keys: [{secret: "` + e2e.Secret + `"}], audiences: [jitsi], replay: {jti: once, grace: ` + grace + `}}
`
}

const used = "used already"

func TestReplay_ATokenConnectsOnceAndJoinsAsOftenAsItLikes(t *testing.T) {
	each(t, e2e.Setup{Profiles: once("0s")}, func(t *testing.T, s *scene) {
		for _, via := range transports {
			name := "alice-" + string(via)
			alice := s.enter(t, e2e.Who{Via: via, Token: holder(t, name)}, "daily", name)
			s.mustBeTold(t, e2e.Who{Via: via, Token: holder(t, name)}, used)
			for range 3 {
				if err := alice.Leave(e2e.Context(t), e2e.Room("daily"), name); err != nil {
					t.Fatal(err)
				}
				alice.MustJoin("daily", name)
			}
			alice.MustJoin("weekly", name)
			// Another token of the same user is another token.
			s.mustLogIn(t, e2e.Who{Via: via, Token: e2e.Token(t, e2e.Claims{"jti": "fresh-" + name, "context": user(name)})})
		}
		if e := event(t, s.Verifier, `"reason":"token_replayed"`); !e.Proven || !strings.HasPrefix(e.JTI, "alice-") {
			t.Errorf("the replay is recorded as %+v", e)
		}
		if refused := s.MustRefuseLogin(t, e2e.Who{Token: e2e.Token(t, nil)}); !strings.Contains(refused.Text, reason.ClaimMissing.Info().Message) {
			t.Errorf("a token without a jti: %v", refused)
		}
	})
}

// Page reloads, reconnects and redirects come within the grace.
func TestReplay_WithinTheGraceATokenConnectsAgainAndAfterItNotAnyMore(t *testing.T) {
	each(t, e2e.Setup{Profiles: once("2s")}, func(t *testing.T, s *scene) {
		raw := holder(t, "alice")
		for _, via := range transports {
			s.enter(t, e2e.Who{Via: via, Token: raw}, "daily", string(via))
		}
		s.mustBeTold(t, e2e.Who{Token: raw}, used)
	})
}

func TestReplay_WhoResumesItsSessionMayConnectLongAfterTheGrace(t *testing.T) {
	each(t, e2e.Setup{Profiles: once("0s")}, func(t *testing.T, s *scene) {
		raw := holder(t, "alice")
		alice := s.enter(t, e2e.Who{Token: raw}, "daily", "alice")
		id := s.hibernate(t, alice)
		for range 3 {
			s.mustBeTold(t, e2e.Who{Token: raw}, used)
			back, answer := s.resume(t, e2e.WebSocket, "", raw, id)
			if answer != "resumed" {
				t.Fatalf("the resumption: %s", answer)
			}
			mustStay(back, "daily")
			s.drop(t, back)
		}
		// Naming somebody else's session makes a stolen token no fresher.
		other := s.enter(t, e2e.Who{Token: holder(t, "other")}, "daily", "other")
		theirs := url.Values{"previd": {s.hibernate(t, other)}}
		s.mustBeTold(t, e2e.Who{Token: raw, Query: theirs}, used)
	})
}

func TestReplay_ADenyUsesNoTokenUp(t *testing.T) {
	each(t, e2e.Setup{Profiles: once("0s")}, func(t *testing.T, s *scene) {
		who := e2e.Who{Token: holder(t, "alice")}
		r := []revocation.Revocation{jti("alice")}
		s.revoke(t, r...)
		mustBecome(t, s.Verifier, who.Token, reason.TokenRevoked)
		s.mustBeTold(t, who, "revoked")
		if _, _, err := s.store.Lift(e2e.Context(t), r[0].Key(), "team"); err != nil {
			t.Fatal(err)
		}
		mustBecome(t, s.Verifier, who.Token, reason.None)
		s.mustLogIn(t, who)
		s.mustBeTold(t, who, used)
	})
}

func TestReplay_OfManyNodesAtOnceOneLetsATokenIn(t *testing.T) {
	t.Parallel()
	server := serveRedis(t, t.TempDir())
	var nodes []*verifier.Verifier
	for range 3 {
		nodes = append(nodes, e2e.StartVerifier(t, e2e.Setup{Verifier: on(server), Profiles: once("0s")}))
	}
	for n := range 20 {
		raw := holder(t, fmt.Sprint("alice-", n))
		var let, replayed atomic.Int64
		var all sync.WaitGroup
		for i := range 15 {
			all.Go(func() {
				switch status, why := connect(t, nodes[i%3], newID(), newID(), raw); why {
				case reason.None:
					let.Add(1)
				case reason.TokenReplayed:
					replayed.Add(1)
				default:
					t.Errorf("answered %d, %s", status, why)
				}
			})
		}
		all.Wait()
		if let.Load() != 1 {
			t.Errorf("%d of %d were let in", let.Load(), let.Load()+replayed.Load())
		}
	}
}

func TestReplay_AQuestionAskedAgainIsTheSameConnect(t *testing.T) {
	t.Parallel()
	server := serveRedis(t, t.TempDir())
	one := e2e.StartVerifier(t, e2e.Setup{Verifier: on(server), Profiles: once("0s")})
	other := e2e.StartVerifier(t, e2e.Setup{Verifier: on(server), Profiles: once("0s")})
	raw, id, session := holder(t, "alice"), newID(), newID()
	for _, v := range []*verifier.Verifier{one, one, other, one} {
		if _, why := connect(t, v, id, session, raw); why != reason.None {
			t.Errorf("the same question again: %s", why)
		}
	}
	for _, v := range []*verifier.Verifier{one, other} {
		if _, why := connect(t, v, newID(), newID(), raw); why != reason.TokenReplayed {
			t.Errorf("another question: %q", why)
		}
	}
	// A caller that names no session is nobody in particular, and so not the one who was first either.
	raw = holder(t, "nameless")
	if _, why := connect(t, one, newID(), "", raw); why != reason.None {
		t.Errorf("first: %s", why)
	}
	for _, v := range []*verifier.Verifier{one, other} {
		if _, why := connect(t, v, newID(), "", raw); why != reason.TokenReplayed {
			t.Errorf("the second without a session: %q", why)
		}
	}
}

// What could not be claimed was not let in, and asking again does not make it so.
func TestReplay_WithoutTheStoreNobodyNewConnects(t *testing.T) {
	t.Parallel()
	server := serveRedis(t, t.TempDir())
	v := e2e.StartVerifier(t, e2e.Setup{Verifier: on(server), Profiles: once("0s")})
	server.Kill()
	raw, id, session := holder(t, "alice"), newID(), newID()
	for range 2 {
		if status, why := connect(t, v, id, session, raw); status != http.StatusServiceUnavailable || why != reason.RevocationUnavailable {
			t.Errorf("answered %d, %q", status, why)
		}
	}
	comeBack(t, server)
	for ctx := e2e.Context(t); ; {
		status, why := connect(t, v, newID(), newID(), raw)
		if status == http.StatusOK && why == reason.None {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("never let in: %d, %s", status, why)
		}
	}
	if _, why := connect(t, v, newID(), newID(), raw); why != reason.TokenReplayed {
		t.Errorf("then: %q", why)
	}
}
