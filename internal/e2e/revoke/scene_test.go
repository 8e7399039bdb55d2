package revoke_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/e2e/verifier"
	"github.com/usher-im/usher/internal/revocation"
	"github.com/usher-im/usher/internal/revocation/sqlitestore"
)

// Most of these tests wait for something more than they work: more of them at once than there are CPUs costs nothing.
func TestMain(m *testing.M) {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < 6 {
		_ = flag.Set("test.parallel", "6")
	}
	e2e.Main(m)
}

// transports are all that Prosody's clients come by.
var transports = []e2e.Via{e2e.WebSocket, e2e.BOSH, e2e.TCP}

// audited makes a verifier print its events, one line of JSON each.
const audited = "audit: {sink: jsonl}\n"

// scene is a stack with a security team.
type scene struct {
	*e2e.Stack
	team
}

// each runs a test on every release, with a verifier on its embedded store.
func each(t *testing.T, setup e2e.Setup, run func(t *testing.T, s *scene)) {
	t.Helper()
	setup.Verifier = audited + setup.Verifier
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		stack := e2e.Start(t, release, setup)
		s := &scene{stack, beside(t, stack.Verifier)}
		s.Lua(t, e2e.SecureTCP, nil)
		run(t, s)
	})
}

// team is who revokes. It writes into the store itself, as `usher revoke --offline` does: whether the node runs or not.
type team struct{ store revocation.Store }

// beside opens the embedded store of a verifier from outside its process.
func beside(t *testing.T, v *verifier.Verifier) team {
	t.Helper()
	path := filepath.Join(filepath.Dir(v.CredentialFile), "revocations.db")
	store, err := sqlitestore.Open(e2e.Context(t), path, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return team{store}
}

// revoke writes revocations and returns when they are acknowledged, with the time at which they were.
func (o team) revoke(t *testing.T, rs ...revocation.Revocation) time.Time {
	t.Helper()
	for i := range rs {
		rs[i].Reason, rs[i].Actor = "leaked", "a test"
		prepared, err := revocation.Prepare(rs[i], time.Now())
		if err != nil {
			t.Fatal(err)
		}
		rs[i] = prepared
	}
	written, err := o.store.Revoke(context.Background(), rs)
	acknowledged := time.Now()
	if err != nil || !written.Replicated {
		t.Fatalf("the revocation was not acknowledged: %+v, %v", written, err)
	}
	return acknowledged
}

// jti is the revocation of one token id of the default issuer.
func jti(id string) revocation.Revocation {
	return revocation.Revocation{Selector: revocation.SelectJTI, Issuer: "my-app", Value: id}
}

// everyTokenOf is the revocation of a user of the default issuer.
func everyTokenOf(id string) revocation.Revocation {
	return revocation.Revocation{Selector: revocation.SelectUser, Issuer: "my-app", Value: id}
}

// holder is a good token of a user, whose jti is the user's name as well.
func holder(t *testing.T, name string) string {
	t.Helper()
	return e2e.Token(t, e2e.Claims{"jti": name, "context": e2e.Claims{"user": e2e.Claims{"id": name}}})
}

// login connects, authenticates and binds; how that ended comes back. A URL carries the token, but for plain c2s, where
// SASL does (RFC 7628).
func (s *scene) login(t *testing.T, who e2e.Who) (*e2e.Visitor, error) {
	t.Helper()
	v := s.Connect(t, who)
	ctx := e2e.Context(t)
	if err := authenticate(ctx, v, who); err != nil {
		return v, err
	}
	return v, v.Bind(ctx)
}

func authenticate(ctx context.Context, v *e2e.Visitor, who e2e.Who) error {
	if who.Via != e2e.TCP {
		return v.Authenticate(ctx)
	}
	v.MustExpect("stream features", func(e *client.Element) bool { return e.Name() == "features" })
	return v.AuthenticateBy(ctx, "OAUTHBEARER", "n,,\x01auth=Bearer "+who.Token+"\x01\x01")
}

// mustLogIn logs in and must get through.
func (s *scene) mustLogIn(t *testing.T, who e2e.Who) *e2e.Visitor {
	t.Helper()
	v, err := s.login(t, who)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// mustBeTold logs in again and again until that is refused, in words that contain why: a store that was written from
// outside the node is seen by it a few milliseconds later.
func (s *scene) mustBeTold(t *testing.T, who e2e.Who, why string) {
	t.Helper()
	for ctx := e2e.Context(t); ctx.Err() == nil; {
		v, err := s.login(t, who)
		if err == nil {
			v.Close()
			continue
		}
		var refused *client.LoginError
		if !errors.As(err, &refused) || !strings.Contains(refused.Text, why) {
			t.Errorf("the login ended with: %v", err)
		}
		return
	}
	t.Error("the login was never refused")
}

// enter logs in and joins.
func (s *scene) enter(t *testing.T, who e2e.Who, room, nick string) *e2e.Visitor {
	t.Helper()
	v := s.mustLogIn(t, who)
	v.MustJoin(room, nick)
	return v
}

// event waits for a line of the verifier's audit that contains text.
func event(t *testing.T, v *verifier.Verifier, text string) audit.Event {
	t.Helper()
	line, err := v.Log.Wait(e2e.Context(t), text)
	if err != nil {
		t.Fatalf("the audit has no event with %s: %v", text, err)
	}
	var e audit.Event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return e
}

// decisionIn is the decision id at the end of what a person is told.
func decisionIn(t *testing.T, text string) string {
	t.Helper()
	_, id, found := strings.Cut(strings.TrimSuffix(text, ")"), " (")
	if !found || len(id) != 26 {
		t.Fatalf("%q ends in no decision id", text)
	}
	return id
}
