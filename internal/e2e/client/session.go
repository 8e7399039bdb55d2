package client

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// Login authenticates as nobody in particular (SASL ANONYMOUS) and binds a resource.
func (c *Client) Login(ctx context.Context) error {
	if err := c.Authenticate(ctx); err != nil {
		return err
	}
	return c.Bind(ctx)
}

// Authenticate does the SASL step alone and opens the stream anew.
func (c *Client) Authenticate(ctx context.Context) error {
	if _, err := c.Expect(ctx, "stream features", named("features")); err != nil {
		return err
	}
	return c.AuthenticateAgain(ctx)
}

// AuthenticateAgain tries once more on the same stream, after a refusal.
func (c *Client) AuthenticateAgain(ctx context.Context) error {
	return c.AuthenticateBy(ctx, "ANONYMOUS", "")
}

// AuthenticateBy does one SASL exchange: a mechanism with its first message. A challenge is answered with a single 0x01,
// which is what OAUTHBEARER wants after it has failed (RFC 7628, section 3.2.3).
func (c *Client) AuthenticateBy(ctx context.Context, mechanism, message string) error {
	err := c.Send(ctx, `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='%s'>%s</auth>`, mechanism,
		base64.StdEncoding.EncodeToString([]byte(message)))
	if err != nil {
		return err
	}
	answer, err := c.Expect(ctx, "an answer of SASL", inSASL)
	if err == nil && answer.Name() == "challenge" {
		if err = c.Send(ctx, `<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AQ==</response>`); err == nil {
			answer, err = c.Expect(ctx, "the end of SASL", inSASL)
		}
	}
	if err != nil {
		return err
	}
	if answer.Name() != "success" {
		return loginError(answer)
	}
	if err := c.wire.restart(ctx); err != nil {
		return err
	}
	_, err = c.Expect(ctx, "stream features after SASL", named("features"))
	return err
}

func inSASL(e *Element) bool { return e.XMLName.Space == nsSASL && e.Name() != "mechanisms" }

// Bind asks for a resource, which makes the session one.
func (c *Client) Bind(ctx context.Context) error {
	answer, err := c.Request(ctx, "", "set", `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>`)
	if err != nil {
		return err
	}
	c.JID = answer.TextAt("bind/jid")
	return nil
}

// Request sends an iq and returns its result, or a *StanzaError.
func (c *Client) Request(ctx context.Context, to, kind, payload string) (*Element, error) {
	id := c.ID()
	address := ""
	if to != "" {
		address = fmt.Sprintf(" to='%s'", Escape(to))
	}
	text := fmt.Sprintf(`<iq xmlns='jabber:client' type='%s' id='%s'%s>%s</iq>`, kind, id, address, payload)
	if err := c.wire.send(ctx, text); err != nil {
		return nil, err
	}
	answer, err := c.Expect(ctx, "the answer to iq "+id, func(e *Element) bool {
		return e.Name() == "iq" && e.Attr("id") == id
	})
	if err != nil {
		return nil, err
	}
	if answer.Attr("type") == "error" {
		return nil, stanzaError(answer)
	}
	return answer, nil
}

// Ping asks the server for a sign of life (XEP-0199) and returns how long that took.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	_, err := c.Request(ctx, c.opt.Domain, "get", `<ping xmlns='urn:xmpp:ping'/>`)
	return time.Since(start), err
}

// Join enters a room and returns the self-presence, or a *StanzaError.
func (c *Client) Join(ctx context.Context, room, nick string) (*Element, error) {
	if err := c.AskToJoin(ctx, room, nick); err != nil {
		return nil, err
	}
	return c.Joined(ctx, room)
}

// AskToJoin sends the join presence and does not wait for an answer.
func (c *Client) AskToJoin(ctx context.Context, room, nick string) error {
	return c.Send(ctx, `<presence xmlns='jabber:client' to='%s/%s'><x xmlns='http://jabber.org/protocol/muc'/></presence>`,
		room, nick)
}

// Joined waits for the answer to AskToJoin: the self-presence (status 110), or a *StanzaError.
func (c *Client) Joined(ctx context.Context, room string) (*Element, error) {
	answer, err := c.Expect(ctx, "an answer from "+room, func(e *Element) bool {
		return e.Name() == "presence" && sameRoom(e.Attr("from"), room) &&
			(e.Attr("type") == "error" || e.HasStatus("110"))
	})
	if err != nil {
		return nil, err
	}
	if answer.Attr("type") == "error" {
		return nil, stanzaError(answer)
	}
	return answer, nil
}

// Leave leaves a room and waits until the room says so.
func (c *Client) Leave(ctx context.Context, room, nick string) error {
	err := c.Send(ctx, `<presence xmlns='jabber:client' type='unavailable' to='%s/%s'/>`, room, nick)
	if err != nil {
		return err
	}
	_, err = c.Expect(ctx, "the own leave from "+room, func(e *Element) bool {
		return e.Name() == "presence" && sameRoom(e.Attr("from"), room) &&
			e.Attr("type") == "unavailable" && e.HasStatus("110")
	})
	return err
}

// sameRoom compares without case: the server answers with the prepared name.
func sameRoom(from, room string) bool {
	bare, _, _ := strings.Cut(from, "/")
	return strings.EqualFold(bare, room)
}

func named(name string) func(*Element) bool {
	return func(e *Element) bool { return e.Name() == name }
}
