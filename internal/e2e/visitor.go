package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/e2e/client"
	"github.com/usher-im/usher/internal/e2e/prosody"
)

// Via is the transport that a client takes.
type Via string

// The transports of Prosody's c2s.
const (
	WebSocket Via = "WebSocket"
	BOSH      Via = "BOSH"
	TCP       Via = "TCP"
)

// Who connects, and how.
type Who struct {
	Via    Via    // WebSocket when left out
	Domain string // Domain when left out
	Token  string // goes into the URL
	Query  url.Values
	Header http.Header
}

// Visitor is a client whose failures fail its test.
type Visitor struct {
	*client.Client
	t testing.TB
}

// Connect opens a stream and stops there.
func (s *Stack) Connect(t testing.TB, who Who) *Visitor {
	t.Helper()
	v, err := dial(t, s.Prosody, who)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Login connects and binds; both must go well.
func (s *Stack) Login(t testing.TB, who Who) *Visitor {
	t.Helper()
	v := s.Connect(t, who)
	if err := v.Client.Login(Context(t)); err != nil {
		t.Fatal(err)
	}
	return v
}

// MustRefuseLogin connects and returns how SASL was refused.
func (s *Stack) MustRefuseLogin(t testing.TB, who Who) *client.LoginError {
	t.Helper()
	err := s.Connect(t, who).Client.Login(Context(t))
	var refused *client.LoginError
	if !errors.As(err, &refused) {
		t.Fatalf("the login should have been refused at SASL; it ended with: %v", err)
	}
	return refused
}

func dial(t testing.TB, server *prosody.Server, who Who) (*Visitor, error) {
	opt := client.Options{Domain: who.Domain, Token: who.Token, Query: who.Query, Header: who.Header}
	if opt.Domain == "" {
		opt.Domain = Domain
	}
	switch who.Via {
	case BOSH:
		opt.URL = server.BOSHURL()
	case TCP:
		opt.URL = "tcp://" + server.C2SAddress()
	default:
		opt.URL = server.WebSocketURL()
	}
	c, err := client.Dial(Context(t), opt)
	if err != nil {
		return nil, err
	}
	t.Cleanup(c.Close)
	return &Visitor{c, t}, nil
}

// MustJoin enters a room (by name or address) and returns the self-presence.
func (v *Visitor) MustJoin(room, nick string) *client.Element {
	v.t.Helper()
	self, err := v.Join(Context(v.t), address(room), nick)
	if err != nil {
		v.t.Fatalf("%s could not join %s: %v", nick, room, err)
	}
	return self
}

// MustBeRefused tries to enter a room and returns the error.
func (v *Visitor) MustBeRefused(room, nick string) *client.StanzaError {
	v.t.Helper()
	_, err := v.Join(Context(v.t), address(room), nick)
	var refused *client.StanzaError
	if !errors.As(err, &refused) {
		v.t.Fatalf("the join of %s should have been refused; it ended with: %v", room, err)
	}
	return refused
}

// MustExpect waits for a stanza.
func (v *Visitor) MustExpect(what string, match func(*client.Element) bool) *client.Element {
	v.t.Helper()
	e, err := v.Expect(Context(v.t), what, match)
	if err != nil {
		v.t.Fatal(fmt.Errorf("%w; received meanwhile: %v", err, v.Received()))
	}
	return e
}

// MustSend sends a stanza.
func (v *Visitor) MustSend(format string, texts ...any) {
	v.t.Helper()
	if err := v.Send(Context(v.t), format, texts...); err != nil {
		v.t.Fatal(err)
	}
}

func address(room string) string {
	if strings.Contains(room, "@") {
		return room
	}
	return Room(room)
}
