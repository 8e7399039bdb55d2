package revoke_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/reason"
)

// These ask a verifier as the shim does, without a Prosody between.

func newID() string { return rand.Text() }

// asks keeps enough connections for all that a test asks at once.
var asks = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// ask puts a question about a token, and gives status and reason; none where it is let in.
func ask(t *testing.T, v *verifier.Verifier, question map[string]string) (int, reason.Code) {
	t.Helper()
	question["host"] = e2e.Domain
	body, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := asks.Post(v.URL+"/v1/verify", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer answer.Body.Close()
	var said struct{ Reason reason.Code }
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		t.Error(err)
	}
	return answer.StatusCode, said.Reason
}

func connect(t *testing.T, v *verifier.Verifier, id, session, raw string) (int, reason.Code) {
	t.Helper()
	return ask(t, v, map[string]string{"id": id, "session": session, "stage": "connect", "token": raw})
}

// recheck asks whether a session with this token may stay. That claims nothing.
func recheck(t *testing.T, v *verifier.Verifier, raw string) (int, reason.Code) {
	t.Helper()
	return ask(t, v, map[string]string{"id": newID(), "session": newID(), "stage": "recheck", "token": raw})
}

// mustBecome waits until a verifier judges a token so.
func mustBecome(t *testing.T, v *verifier.Verifier, raw string, want reason.Code) {
	t.Helper()
	for ctx := e2e.Context(t); ; {
		_, why := recheck(t, v, raw)
		if why == want {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the token is still judged %q, want %q", why, want)
		}
	}
}
