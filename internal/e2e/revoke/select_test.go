package revoke_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// twoIssuers has an issuer with two keys beside the usual one, and two keys for whatever else a token names.
const twoIssuers = e2e.DefaultProfiles + `      - iss: second-app
        keys:
          - {secret: "the first secret of the second issuer", kid: first}
          - {secret: "the second secret of the second issuer", kid: second}
        audiences: [jitsi]
        subjects: ["*"]
      - iss: "*"
        keys:
          - {secret: "the open secret of the second issuer", kid: open}
          - {secret: "the other secret of the second issuer", kid: other}
        audiences: [jitsi]
        subjects: ["*"]
`

// second is a token of the second issuer by one of its keys.
func second(t *testing.T, kid string, claims e2e.Claims) string {
	t.Helper()
	all := e2e.Claims{"iss": "second-app"}
	for name, value := range claims {
		all[name] = value
	}
	key := []byte("the " + kid + " secret of the second issuer")
	return e2e.SignedToken(t, mint.Spec{Alg: token.HS256, Key: key, Kid: kid}, all)
}

func user(id string) e2e.Claims { return e2e.Claims{"user": e2e.Claims{"id": id}} }

func TestRevoke_EachSelectorPutsOutWhomItMeansAndNobodyElse(t *testing.T) {
	each(t, e2e.Setup{Profiles: twoIssuers}, func(t *testing.T, s *scene) {
		raw := e2e.Token(t, e2e.Claims{"jti": "by token", "context": user("u1")})
		printed := e2e.Token(t, e2e.Claims{"jti": "by fingerprint", "context": user("u1")})
		print, _ := token.FingerprintOf(printed)
		for _, c := range []struct {
			name              string
			revocation        revocation.Revocation
			victim, neighbour string
			room              string
		}{
			{"a token, pasted whole", revocation.Revocation{Selector: revocation.SelectToken, Value: raw},
				raw, e2e.Token(t, e2e.Claims{"jti": "a sister", "context": user("u1")}), "daily"},
			{"a token by its fingerprint", revocation.Revocation{Selector: revocation.SelectToken, Value: hex.EncodeToString(print[:])},
				printed, e2e.Token(t, e2e.Claims{"jti": "another sister", "context": user("u1")}), "daily"},
			{"a jti of an issuer", revocation.Revocation{Selector: revocation.SelectJTI, Issuer: "my-app", Value: "17"},
				e2e.Token(t, e2e.Claims{"jti": "17"}), second(t, "first", e2e.Claims{"jti": "17"}), "daily"},
			{"a user of an issuer", revocation.Revocation{Selector: revocation.SelectUser, Issuer: "my-app", Value: "mallory"},
				e2e.Token(t, e2e.Claims{"context": user("mallory")}), second(t, "first", e2e.Claims{"context": user("mallory")}), "daily"},
			{"a signing key", revocation.Revocation{Selector: revocation.SelectKey, Issuer: "second-app", Value: "second"},
				second(t, "second", e2e.Claims{"jti": "k"}), second(t, "first", e2e.Claims{"jti": "k"}), "daily"},
			{"a key that serves any iss", revocation.Revocation{Selector: revocation.SelectKey, Issuer: "*", Value: "open"},
				second(t, "open", e2e.Claims{"iss": "whoever", "jti": "o"}), second(t, "other", e2e.Claims{"iss": "whoever", "jti": "o"}), "daily"},
			{"a room", revocation.Revocation{Selector: revocation.SelectRoom, Value: "weekly"},
				e2e.Token(t, e2e.Claims{"room": []string{"daily", "weekly"}, "jti": "r"}), e2e.Token(t, e2e.Claims{"room": "daily"}), "daily"},
			{"a tenant", revocation.Revocation{Selector: revocation.SelectRoom, Value: "[acme]"},
				e2e.Token(t, e2e.Claims{"sub": "acme", "jti": "t"}), second(t, "first", e2e.Claims{"sub": "*", "jti": "t"}), "[acme]daily"},
			{"an issuer", revocation.Revocation{Selector: revocation.SelectIssuer, Value: "second-app"},
				second(t, "first", e2e.Claims{"jti": "i"}), e2e.Token(t, e2e.Claims{"jti": "i"}), "daily"},
		} {
			t.Run(c.name, func(t *testing.T) {
				neighbour := s.enter(t, e2e.Who{Token: c.neighbour}, c.room, "neighbour")
				victim := s.enter(t, e2e.Who{Token: c.victim}, c.room, "victim")
				s.revoke(t, c.revocation)
				mustBePutOut(t, victim, c.room, "victim")
				mustStay(neighbour, c.room)
				neighbour.Close()
			})
		}
	})
}

func TestRevoke_IssuedBeforeSparesWhoCameWithALaterToken(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		leak := time.Now().Truncate(time.Second)
		issued := func(at any) string {
			return e2e.Token(t, e2e.Claims{"iat": at, "nbf": nil, "context": user("alice")})
		}
		old := s.enter(t, e2e.Who{Token: issued(leak.Add(-time.Minute).Unix())}, "daily", "old")
		undated := s.enter(t, e2e.Who{Token: issued(nil)}, "daily", "undated")
		renewed := s.enter(t, e2e.Who{Token: issued(leak.Unix())}, "daily", "renewed")
		by := revocation.Revocation{Selector: revocation.SelectUser, Issuer: "my-app", Value: "alice", IssuedBefore: leak}
		s.revoke(t, by)
		mustBePutOut(t, old, "daily", "old")
		mustBePutOut(t, undated, "daily", "undated")
		mustStay(renewed, "daily")
		// She was asked about, and may stay: all three hold the key that was told.
		recheck := event(t, s.Verifier, `"stage":"recheck","verdict":"allow"`)
		if recheck.UserID != "alice" {
			t.Errorf("asked about %+v", recheck)
		}
		// Said again without a limit it means her too, and told again it is.
		by.IssuedBefore = time.Time{}
		s.revoke(t, by)
		mustBePutOut(t, renewed, "daily", "renewed")
	})
}

// A revocation that is taken back lets its token in again.
func TestRevoke_WhatIsLiftedMayComeBack(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		r := []revocation.Revocation{jti("alice")}
		s.revoke(t, r...)
		s.mustBeTold(t, e2e.Who{Token: holder(t, "alice")}, "revoked")
		if _, _, err := s.store.Lift(e2e.Context(t), r[0].Key(), "team"); err != nil {
			t.Fatal(err)
		}
		for ctx := e2e.Context(t); ; {
			v, err := s.login(t, e2e.Who{Token: holder(t, "alice")})
			if err == nil {
				v.MustJoin("daily", "alice")
				return
			}
			if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	})
}
