package e2e

import (
	"maps"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/token"
	"github.com/usher-im/usher/internal/token/mint"
)

// Secret signs the tokens of DefaultProfiles.
const Secret = "the secret of the end-to-end tests"

// DefaultProfiles is what a stack has unless its Setup says otherwise.
const DefaultProfiles = `  default:
    domain: meet.example.com
    rooms: {create: allow}
    issuers:
      - iss: my-app
        keys: [{secret: "` + Secret + `"}]
        audiences: [jitsi]
        subjects: [meet.example.com, acme]
`

// Claims are a token's payload.
type Claims map[string]any

// Token is a good token by DefaultProfiles, with claims on top: an hour long, for any room, and signed with Secret.
// A nil value takes a claim away.
func Token(t testing.TB, claims Claims) string {
	t.Helper()
	return SignedToken(t, mint.Spec{Alg: token.HS256, Key: []byte(Secret)}, claims)
}

// SignedToken is like Token with another key, algorithm or header.
func SignedToken(t testing.TB, spec mint.Spec, claims Claims) string {
	t.Helper()
	now := time.Now()
	all := Claims{
		"iss": "my-app", "aud": "jitsi", "sub": Domain, "room": "*",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	spec.Claims = all
	raw, err := mint.Token(spec)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
