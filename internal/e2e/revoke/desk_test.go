package revoke_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/revocation"
)

// These revoke as people and programs do: by the command line and over HTTP.

// call asks a verifier's admin listener, as the local administrator.
func call(v *verifier.Verifier, method, path, contentType string, body []byte) (*http.Response, error) {
	secret, err := os.ReadFile(v.CredentialFile)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(method, v.AdminURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
	req.Header.Set("Content-Type", contentType)
	return asks.Do(req)
}

// revokeAt revokes through a node, and says whether it was acknowledged. An error is one that may go by.
func revokeAt(v *verifier.Verifier, r revocation.Revocation) (acknowledged bool, err error) {
	body, err := json.Marshal(map[string]string{"selector": string(r.Selector), "issuer": r.Issuer, "value": r.Value, "reason": "leaked"})
	if err != nil {
		return false, err
	}
	answer, err := call(v, http.MethodPost, "/v1/revocations", "application/json", body)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	var done struct {
		Replicated bool
		Detail     string
	}
	if err := json.NewDecoder(answer.Body).Decode(&done); err != nil {
		return false, err
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusCreated:
		return done.Replicated, nil
	case http.StatusAccepted:
		return false, nil
	}
	return false, fmt.Errorf("revoking was answered %d: %s", answer.StatusCode, done.Detail)
}

// mustRun runs a command of the CLI, which must go well, and gives what it says.
func mustRun(t *testing.T, v *verifier.Verifier, stdin string, args ...string) string {
	t.Helper()
	cmd := v.Command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("usher %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestDesk_OneCommandPutsOutWhoHoldsALeakedToken(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		neighbour := s.enter(t, e2e.Who{Token: holder(t, "neighbour")}, "daily", "neighbour")
		for name, offline := range map[string][]string{"through the node": nil, "beside the node": {"--offline"}} {
			t.Run(name, func(t *testing.T) {
				raw := holder(t, name)
				victim := s.enter(t, e2e.Who{Token: raw}, "daily", "victim")
				mustRun(t, s.Verifier, raw+"\n", append([]string{"revoke", "--token-stdin", "--reason", "leaked in a ticket"}, offline...)...)
				text := mustBePutOut(t, victim, "daily", "victim")
				s.mustBeReported(t, text, victim.JID)
				mustStay(neighbour, "daily")
				// The id that the person was shown leads to the whole story.
				stored(t, s.Verifier, decisionIn(t, text))
				if story := mustRun(t, s.Verifier, "", "audit", "show", decisionIn(t, text)); !strings.Contains(story, "revoked") || strings.Contains(story, raw) {
					t.Errorf("usher audit show says:\n%s", story)
				}
			})
		}
	})
}

func TestDesk_AnOAuthClientRevokesAsRFC7009Says(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		raw := holder(t, "victim")
		victim := s.enter(t, e2e.Who{Token: raw}, "daily", "victim")
		answer, err := call(s.Verifier, http.MethodPost, "/oauth/revoke", "application/x-www-form-urlencoded", []byte(url.Values{"token": {raw}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("answered %s", answer.Status)
		}
		mustBePutOut(t, victim, "daily", "victim")
	})
}

func TestDesk_WhatBecameOfASessionIsInTheAudit(t *testing.T) {
	each(t, e2e.Setup{}, func(t *testing.T, s *scene) {
		victim := s.enter(t, e2e.Who{Token: holder(t, "victim")}, "daily", "victim")
		if acknowledged, err := revokeAt(s.Verifier, jti("victim")); !acknowledged || err != nil {
			t.Fatal(err)
		}
		text := mustBePutOut(t, victim, "daily", "victim")
		s.mustBeReported(t, text, victim.JID)
		var e audit.Event
		if err := json.Unmarshal(stored(t, s.Verifier, event(t, s.Verifier, `"kind":"ejection"`).ID), &e); err != nil {
			t.Fatal(err)
		}
		if e.DecisionID != decisionIn(t, text) || e.Outcome != "ejected" || e.Session == "" {
			t.Errorf("the ejection is kept as %+v", e)
		}
	})
}

// stored waits until an event is in the store of the audit, which takes them a moment after they happened, and gives it.
func stored(t *testing.T, v *verifier.Verifier, id string) []byte {
	t.Helper()
	for ctx := e2e.Context(t); ; pause(10 * time.Millisecond) {
		answer, err := call(v, http.MethodGet, "/v1/events/"+id, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil && answer.StatusCode == http.StatusOK {
			return text
		}
		if ctx.Err() != nil {
			t.Fatalf("the audit does not have event %s: %s %s", id, answer.Status, text)
		}
	}
}
