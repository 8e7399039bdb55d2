package server_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/credential"
	"github.com/usher-im/usher/internal/revocation"
)

type line struct {
	Cursor           string
	Keys             []string
	Keepalive, Reset bool
}

// feed reads the feed from cursor, line by line.
func (n *node) feed(cursor string, edits ...edit) *bufio.Scanner {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), "GET", "http://"+n.server.VerifyAddress()+"/v1/feed?cursor="+url.QueryEscape(cursor), nil)
	must(n.t, err)
	for _, e := range edits {
		e(req)
	}
	resp, err := n.client.Do(req)
	must(n.t, err)
	n.t.Cleanup(func() { resp.Body.Close() })
	return bufio.NewScanner(resp.Body)
}

// follow reads the feed from cursor; the function gives its next line, keep-alives left out.
func (n *node) follow(cursor string) (next func() line) {
	n.t.Helper()
	lines := n.feed(cursor)
	return func() line {
		n.t.Helper()
		for lines.Scan() {
			var l line
			must(n.t, json.Unmarshal(lines.Bytes(), &l))
			if !l.Keepalive {
				return l
			}
		}
		n.t.Fatalf("the feed ended: %v", lines.Err())
		return line{}
	}
}

func (n *node) revokeJTI(jti string) {
	n.t.Helper()
	r, err := revocation.Prepare(revocation.Revocation{Selector: revocation.SelectJTI, Issuer: "my-app", Value: jti}, time.Now())
	must(n.t, err)
	_, err = n.ledger.Revoke(n.t.Context(), []revocation.Revocation{r})
	must(n.t, err)
}

func TestFeed_TellsTheKeysThatAnAllowGaveAndMissesNothingBehindACursor(t *testing.T) {
	n := start(t, base)
	allowed := n.verify(question(t, map[string]any{"token": mintToken(t, "leaked")}))
	var keys []string
	for _, k := range allowed.body["revocation_keys"].([]any) {
		keys = append(keys, k.(string))
	}
	next := n.follow("")
	first := next()
	if !first.Reset || first.Cursor == "" {
		t.Fatalf("a follower without a cursor is told to ask about all: %+v", first)
	}
	n.revokeJTI("leaked")
	told := next()
	if len(told.Keys) != 1 || !slices.Contains(keys, told.Keys[0]) {
		t.Fatalf("%+v is none of %v", told, keys)
	}
	n.revokeJTI("another")
	if again := n.follow(told.Cursor)(); again.Reset || len(again.Keys) != 1 || slices.Contains(keys, again.Keys[0]) {
		t.Fatalf("behind the cursor: %+v", again)
	}
	if strange := n.follow("nowhere-7")(); !strange.Reset {
		t.Fatalf("a cursor of another store: %+v", strange)
	}
}

func TestFeed_EndsWithTheCredentialOfItsCaller(t *testing.T) {
	n := start(t, base+"verify: {credential_required: true}\n")
	shim, err := n.who.Create("prosody-1", credential.Verify, time.Now())
	must(t, err)
	lines := n.feed("", header("Authorization", "Bearer "+shim))
	if !lines.Scan() || !strings.Contains(lines.Text(), "reset") {
		t.Fatalf("%q", lines.Text())
	}
	must(t, n.who.Delete("prosody-1"))
	n.revokeJTI("leaked")
	if lines.Scan() {
		t.Errorf("a deleted credential hears %s", lines.Text())
	}
	must(t, lines.Err())
}

func TestFeed_EndsWithItsServer(t *testing.T) {
	n := occupy(t)
	resp, err := n.client.Get("http://" + n.server.VerifyAddress() + "/v1/feed")
	must(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || !strings.Contains(line, "reset") {
		t.Fatalf("%q, %v", line, err)
	}
	n.stopsWithout(resp.Body)
}
