package revoke_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/revocation"
)

func TestRevoke_ALiveSessionLeavesItsRoomAndItsStreamIsClosed(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		for _, via := range transports {
			t.Run(string(via), func(t *testing.T) {
				room, name := "live-"+strings.ToLower(string(via)), "victim-"+string(via)
				neighbour := s.enter(t, e2e.Who{Via: via, Token: holder(t, "neighbour")}, room, "neighbour")
				victim := s.enter(t, e2e.Who{Via: via, Token: holder(t, name)}, room, "victim")
				s.revoke(t, jti(name))
				text := mustBePutOut(t, victim, room, "victim")
				if seen := mustSeeKick(neighbour, room, "victim"); seen != text {
					t.Errorf("the neighbour was told %q", seen)
				}
				s.mustBeReported(t, text, victim.JID)
				mustStay(neighbour, room)
				s.mustBeTold(t, e2e.Who{Via: via, Token: holder(t, name)}, "revoked")
			})
		}
	})
}

func TestRevoke_AHibernatingSessionLeavesItsRoomAndCannotBeResumed(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		neighbour := s.enter(t, e2e.Who{Token: holder(t, "neighbour")}, "daily", "neighbour")
		for _, via := range transports {
			t.Run(string(via), func(t *testing.T) {
				name := "victim-" + string(via)
				victim := s.enter(t, e2e.Who{Via: via, Token: holder(t, name)}, "daily", name)
				id := s.hibernate(t, victim)
				s.revoke(t, jti(name))
				text := mustSeeKick(neighbour, "daily", name)
				s.mustBeReported(t, text, victim.JID)
				if _, answer := s.resume(t, via, victim.JID, holder(t, "somebody else"), id); answer != "failed" {
					t.Errorf("somebody resumes it: %s", answer)
				}
				mustStay(neighbour, "daily")
			})
		}
	})
}

func TestRevoke_ASessionLeavesEveryRoomThatItSitsIn(t *testing.T) {
	setup := e2e.Setup{Hosts: `Component "breakout.meet.example.com" "muc"
		restrict_room_creation = false
		muc_room_locking = false`}
	each(t, setup, func(t *testing.T, s *scene) {
		neighbour := s.enter(t, e2e.Who{Token: holder(t, "neighbour")}, "daily", "neighbour")
		neighbour.MustJoin("weekly", "neighbour")
		neighbour.MustJoin("side@breakout.meet.example.com", "neighbour")
		victim := s.enter(t, e2e.Who{Token: holder(t, "victim")}, "daily", "victim")
		victim.MustJoin("weekly", "other nick")
		victim.MustJoin("side@breakout.meet.example.com", "victim")
		s.revoke(t, jti("victim"))
		for _, seat := range []string{e2e.Room("daily") + "/victim", e2e.Room("weekly") + "/other nick", "side@breakout.meet.example.com/victim"} {
			neighbour.MustExpect(seat+" to be taken out", func(e *client.Element) bool { return e.Attr("from") == seat && e.HasStatus("307") })
		}
		victim.MustExpect("the way out", func(e *client.Element) bool { return e.HasStatus("307") })
		if err := victim.Ended(e2e.Context(t)); err == nil {
			t.Error("the stream did not end")
		}
	})
}

func TestRevoke_ASessionInNoRoomIsClosedAsWell(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		for _, via := range transports {
			victim := s.mustLogIn(t, e2e.Who{Via: via, Token: holder(t, "victim-"+string(via))})
			s.revoke(t, jti("victim-"+string(via)))
			if err := victim.Ended(e2e.Context(t)); err == nil || !strings.Contains(err.Error(), "policy-violation") {
				t.Errorf("by %s the stream ended with: %v", via, err)
			}
		}
	})
}

// What is hooked to rooms is other people's code, and whoever is revoked may know what it fails at.
func TestRevoke_AModuleThatFailsAtAKickKeepsNobodyIn(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		s.Lua(t, `module:context("conference.meet.example.com"):hook("muc-occupant-left", function () error({ text = "not at home" }); end);`, nil)
		for _, via := range transports {
			name := "victim-" + string(via)
			victim := s.enter(t, e2e.Who{Via: via, Token: holder(t, name)}, "room-"+strings.ToLower(string(via)), "victim")
			s.revoke(t, jti(name))
			if err := victim.Ended(e2e.Context(t)); err == nil || !strings.Contains(err.Error(), "policy-violation") {
				t.Errorf("by %s the stream ended with: %v", via, err)
			}
		}
	})
}

// The way out of the room uses up the request that BOSH holds, and a client on a slow network takes its time for the next.
func TestRevoke_ASlowBOSHClientStillSeesWhyItsStreamEnded(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		to, err := url.Parse(s.Prosody.BOSHURL())
		if err != nil {
			t.Fatal(err)
		}
		forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host }}
		var slow atomic.Bool
		network := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if slow.Load() {
				pause(700 * time.Millisecond)
			}
			forward.ServeHTTP(w, r)
		}))
		t.Cleanup(func() { network.CloseClientConnections(); network.Close() })
		victim, err := client.Dial(e2e.Context(t), client.Options{URL: network.URL + to.Path, Domain: e2e.Domain, Token: holder(t, "victim")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(victim.Close)
		if err := victim.Login(e2e.Context(t)); err != nil {
			t.Fatal(err)
		}
		if _, err := victim.Join(e2e.Context(t), e2e.Room("daily"), "victim"); err != nil {
			t.Fatal(err)
		}
		slow.Store(true)
		s.revoke(t, jti("victim"))
		var ended *client.StreamError
		if err := victim.Ended(e2e.Context(t)); !errors.As(err, &ended) || ended.Condition != "policy-violation" {
			t.Fatalf("the stream ended with: %v", err)
		}
		s.mustBeReported(t, ended.Text, victim.JID)
	})
}

// Breaking the glass: everybody goes at once, and Prosody serves everybody else meanwhile.
func TestRevoke_AWholeIssuerGoesAndOthersNoticeNothing(t *testing.T) {
	const many = 200
	each(t, e2e.Setup{Profiles: twoIssuers, LogLevel: "info"}, func(t *testing.T, s *scene) {
		neighbour := s.enter(t, e2e.Who{Token: holder(t, "neighbour")}, "room-0", "neighbour")
		var all []*e2e.Visitor
		for n := range many {
			raw := second(t, "first", e2e.Claims{"jti": fmt.Sprint(n)})
			all = append(all, s.enter(t, e2e.Who{Token: raw}, fmt.Sprint("room-", n/10), fmt.Sprint("victim-", n)))
		}
		s.revoke(t, revocation.Revocation{Selector: revocation.SelectIssuer, Value: "second-app"})
		mustSeeKick(neighbour, "room-0", "victim-0")
		took, err := neighbour.Ping(e2e.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		for n, v := range all {
			mustBePutOut(t, v, fmt.Sprint("room-", n/10), fmt.Sprint("victim-", n))
		}
		t.Logf("while %d were put out a ping took %s", many, took)
		mustStay(neighbour, "room-0")
	})
}

// With usher_eject = false nobody is put out, and nobody new gets in.
func TestRevoke_WithoutEjectionTheRevokedStayAndMayNotResume(t *testing.T) {
	each(t, e2e.Setup{Host: "usher_eject = false"}, func(t *testing.T, s *scene) {
		alice := s.enter(t, e2e.Who{Token: holder(t, "alice")}, "daily", "alice")
		s.revoke(t, jti("alice"))
		s.mustBeTold(t, e2e.Who{Token: holder(t, "alice")}, "revoked")
		mustStay(alice, "daily")
		alice.MustBeRefused("weekly", "alice")
		id := s.hibernate(t, alice)
		s.mustBeTold(t, e2e.Who{Token: holder(t, "alice"), Query: url.Values{"previd": {id}}}, "revoked")
	})
}

func TestRevoke_ARevokedTokenDoesNotResumeALiveSessionOfItsUser(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		alice := s.enter(t, e2e.Who{Token: holder(t, "alice")}, "daily", "alice")
		id := s.hibernate(t, alice)
		stolen := e2e.Token(t, e2e.Claims{"jti": "stolen", "context": e2e.Claims{"user": e2e.Claims{"id": "alice"}}})
		s.revoke(t, jti("stolen"))
		s.mustBeTold(t, e2e.Who{Token: stolen, Query: url.Values{"previd": {id}}}, "revoked")
		if _, answer := s.resume(t, e2e.WebSocket, "", holder(t, "alice"), id); answer != "resumed" {
			t.Errorf("her own token: %s", answer)
		}
	})
}
