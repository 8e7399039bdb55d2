package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/revocation/intake"
)

// slowDesk takes its time for each part, and what it takes as a node does.
type slowDesk struct {
	desk
	takes time.Duration
	ahead time.Duration // its clock
	took  int
}

func (d *slowDesk) revoke(_ context.Context, asked []intake.Request, _ bool) ([]deskAnswer, error) {
	time.Sleep(d.takes)
	answers := make([]deskAnswer, len(asked))
	for i, q := range asked {
		r, _, err := q.Revocation(&config.Config{}, "cred:test", time.Now().Add(d.ahead))
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		answers[i] = deskAnswer{Revocation: r, New: true, Replicated: true}
	}
	d.took += len(asked)
	return answers, nil
}

// A long list takes minutes, in which revocations of tokens expire all the time.
func TestImport_WhatExpiresOnTheWayDoesNotHoldUpTheRest(t *testing.T) {
	line := func(n int, expires time.Duration) string {
		return fmt.Sprintf(`{"selector":"jti","issuer":"my-app","value":"%d","expires_at":"%s"}`+"\n", n, time.Now().Add(expires).Format(time.RFC3339Nano))
	}
	var list strings.Builder
	for n := range deskBatch {
		list.WriteString(line(n, time.Hour))
	}
	list.WriteString(line(-1, 200*time.Millisecond)) // over when its part is sent
	list.WriteString(line(-2, 20*time.Second))       // over by the node's clock
	list.WriteString(line(-3, time.Hour))
	asked, passed, err := imported(strings.NewReader(list.String()), "list", time.Now())
	if err != nil || passed != 0 {
		t.Fatal(passed, err)
	}
	d := &slowDesk{takes: 300 * time.Millisecond, ahead: 30 * time.Second}
	var out, words bytes.Buffer
	if err := send(t.Context(), d, asked, sending{imported: true}, streams{out: &out, err: &words}); err != nil {
		t.Fatal(err)
	}
	if d.took != deskBatch+2 || !strings.Contains(words.String(), "502 revoked: 502 new") {
		t.Errorf("%d were taken: %s", d.took, words.String())
	}
}

// A node takes 4 MiB at once, and signs that JSON escapes take six times their place.
func TestSend_LongValuesGoInSmallerParts(t *testing.T) {
	asked := make([]intake.Request, 400)
	for n := range asked {
		asked[n] = intake.Request{Selector: "user", Issuer: "my-app", Value: fmt.Sprint(n) + strings.Repeat("<", 4000)}
	}
	whole, err := json.Marshal(asked)
	must(t, err)
	parts := 0
	for rest := asked; len(rest) > 0; parts++ {
		part := nextPart(rest)
		text, err := json.Marshal(part)
		must(t, err)
		if len(part) == 0 || len(text) > 4<<20-1<<10 {
			t.Fatalf("a part has %d of %d, in %d bytes", len(part), len(rest), len(text))
		}
		rest = rest[len(part):]
	}
	if most := len(whole)/deskBytes + 1; parts > most {
		t.Errorf("%d parts were made where %d do", parts, most)
	}
}

// A member that is misspelt would make a revocation of everything, for ever.
func TestImport_RefusesAMemberThatThereIsNot(t *testing.T) {
	for _, wrong := range []string{
		`{"selector":"user","issuer":"my-app","value":"ada","issued_befor":"2026-11-24T10:00:00Z"}`,
		`{"selector":"user","issuer":"my-app","value":"ada","expires":"7d"}`,
	} {
		if asked, _, err := imported(strings.NewReader(wrong), "list", time.Now()); err == nil {
			t.Errorf("%s is taken as %+v", wrong, asked)
		}
	}
}
