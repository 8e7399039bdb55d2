package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	now := time.Now()
	line := func(n int, expires time.Duration) string {
		return fmt.Sprintf(`{"selector":"jti","issuer":"my-app","value":"%d","expires_at":"%s"}`+"\n", n, now.Add(expires).Format(time.RFC3339Nano))
	}
	var list strings.Builder
	for n := range deskBatch {
		list.WriteString(line(n, time.Hour))
	}
	list.WriteString(line(-1, 200*time.Millisecond)) // over when its part is sent
	list.WriteString(line(-2, 20*time.Second))       // over by the node's clock
	list.WriteString(line(-3, time.Hour))
	asked, passed, err := imported(strings.NewReader(list.String()), "list", now)
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

// That the caller gave up says nothing about the node.
func TestClient_SaysThatItWasInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	node := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		interrupt()
		<-r.Context().Done()
	}))
	defer node.Close()
	d := askedDesk{&client{base: node.URL, secret: "x", http: node.Client()}}
	err := send(ctx, d, []intake.Request{{Selector: "user", Value: "ada"}}, sending{}, streams{out: io.Discard, err: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "interrupted before the node") || strings.Contains(err.Error(), "usher serve") {
		t.Error(err)
	}
}

// full takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestSend_RevokesTheWholeListThoughNobodyIsTold(t *testing.T) {
	asked := make([]intake.Request, 2*deskBatch)
	for n := range asked {
		asked[n] = intake.Request{Selector: "jti", Issuer: "my-app", Value: fmt.Sprint(n)}
	}
	d := &slowDesk{}
	var words bytes.Buffer
	err := send(t.Context(), d, asked, sending{json: true}, streams{out: full{}, err: &words})
	if err == nil || !strings.Contains(err.Error(), "no space left") || d.took != len(asked) || !strings.Contains(words.String(), "1000 revoked: 1000 new") {
		t.Errorf("%d were taken: %v, %s", d.took, err, words.String())
	}
}

// countingDesk says of every second one that it would meet sessions.
type countingDesk struct {
	desk
	largest int
}

func (d *countingDesk) revoke(_ context.Context, asked []intake.Request, _ bool) ([]deskAnswer, error) {
	d.largest = max(d.largest, len(asked))
	answers := make([]deskAnswer, len(asked))
	for i := range asked {
		met := i % 2
		answers[i] = deskAnswer{DryRun: true, Sessions: &met}
	}
	return answers, nil
}

func TestSend_TellsOfALongListThatIsTried(t *testing.T) {
	d := &countingDesk{}
	var out, words bytes.Buffer
	if err := send(t.Context(), d, make([]intake.Request, 300), sending{dryRun: true}, streams{out: &out, err: &words}); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 || !strings.Contains(words.String(), "300 would be revoked; 150 of them would meet sessions") || d.largest > dryBatch {
		t.Errorf("%q, %q, %d at once", out.String(), words.String(), d.largest)
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
		part := nextPart(rest, deskBatch)
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

// A member that is misspelt would make a revocation of everything, for ever, and what is no text one of another name.
func TestImport_RefusesWhatIsNoRevocation(t *testing.T) {
	for _, wrong := range []string{
		`{"selector":"user","issuer":"my-app","value":"ada","issued_befor":"2026-11-24T10:00:00Z"}`,
		`{"selector":"user","issuer":"my-app","value":"ada","expires":"7d"}`,
		`{"selector":"user","issuer":"my-app","value":"caf` + "\xe9" + `"}`,
		`{"selector":"token","value":"ada"}`,
	} {
		if asked, _, err := imported(strings.NewReader(wrong), "list", time.Now()); err == nil {
			t.Errorf("%s is taken as %+v", wrong, asked)
		}
	}
}

// Of a long list a part would be done, and nobody would know which line to mend. JSON puts another sign in the place of what
// is no text: somebody else would be revoked.
func TestRevoke_ListWithAMistakeIsRefusedWhole(t *testing.T) {
	list := func(text string) string {
		path := filepath.Join(t.TempDir(), "list")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	good := strings.Repeat(strings.Repeat("0", 32)+"\r\n", 2*deskBatch)
	for _, c := range []struct {
		cmd  revokeAddCmd
		says string
	}{
		{revokeAddCmd{From: list(good + "\r\nnonsense\r\n" + good), As: "token"}, fmt.Sprintf("line %d of ", 2*deskBatch+2)},
		{revokeAddCmd{From: list("\ufeffada\n\ncaf\xe9\n"), As: "user", Issuer: "my-app"}, "line 3 of "},
		{revokeAddCmd{From: list("ada\n" + strings.Repeat("b", 5000)), As: "jti"}, "line 2 of "},
		{revokeAddCmd{User: []string{"caf\xe9"}}, "must be UTF-8"},
		{revokeAddCmd{User: []string{"ada"}, Reason: "caf\xe9"}, "must be UTF-8"},
	} {
		asked, err := c.cmd.requests(streams{})
		var f *failure
		if !errors.As(err, &f) || f.code != exitUsage || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d are asked for, %v; it should say %q", len(asked), err, c.says)
		}
	}
	if asked, err := (&revokeAddCmd{From: list(good), As: "token"}).requests(streams{}); err != nil || len(asked) != 2*deskBatch {
		t.Errorf("of a good list %d are asked for: %v", len(asked), err)
	}
}
