// Package client is a plain XMPP client for end-to-end tests: it shows every stanza as it came, and sends what it
// is told to, right or wrong. It speaks WebSocket (RFC 7395), BOSH (XEP-0124, XEP-0206) and plain TCP.
//
//	alice, err := client.Dial(ctx, client.Options{URL: server.WebSocketURL(), Domain: "meet.example.com", Token: token})
//	err = alice.Login(ctx)                        // *LoginError when refused
//	self, err := alice.Join(ctx, room, "alice")   // *StanzaError when refused
package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// Options say where to connect, and as whom.
type Options struct {
	// URL picks the transport by its scheme: ws, http (BOSH) or tcp (tcp://host:port).
	URL    string
	Domain string
	// Token goes into the URL as ?token=, as Jitsi's client sends it.
	Token string
	// Query and Header go along with the first request (each request for BOSH).
	Query  url.Values
	Header http.Header
}

// transport moves elements. receive is called by one goroutine alone.
type transport interface {
	// restart opens a new stream: the first one, and another after SASL.
	restart(ctx context.Context) error
	send(ctx context.Context, text string) error
	receive() (*Element, error)
	close()
}

// Client is one connection. Its methods may be called from several goroutines.
type Client struct {
	// JID is the full address, known after Login.
	JID string

	opt   Options
	wire  transport
	inbox inbox
	ids   atomic.Int64
	once  sync.Once
}

// Dial connects and opens a stream.
func Dial(ctx context.Context, opt Options) (*Client, error) {
	c := &Client{opt: opt}
	c.inbox.init()
	var err error
	switch scheme, _, _ := strings.Cut(opt.URL, "://"); scheme {
	case "ws":
		c.wire, err = dialWebSocket(ctx, opt)
	case "http":
		c.wire, err = dialBOSH(opt)
	case "tcp":
		c.wire, err = dialTCP(ctx, opt)
	default:
		err = fmt.Errorf("no transport for %q: use ws://, http:// or tcp://", opt.URL)
	}
	if err != nil {
		return nil, err
	}
	if err := c.wire.restart(ctx); err != nil {
		c.wire.close()
		return nil, err
	}
	go c.read()
	return c, nil
}

func (c *Client) read() {
	for {
		e, err := c.wire.receive()
		if err != nil {
			c.inbox.end(err)
			return
		}
		c.inbox.put(e)
		if isStreamError(e) {
			c.inbox.end(streamError(e))
			return
		}
	}
}

// Close drops the connection without a word, as a client does that loses its network. Over BOSH, where there is
// no connection to lose, it says goodbye.
func (c *Client) Close() {
	c.once.Do(c.wire.close)
}

// Send sends a stanza as it is; what is put in by %s is escaped.
func (c *Client) Send(ctx context.Context, format string, texts ...any) error {
	for i, t := range texts {
		texts[i] = Escape(fmt.Sprint(t))
	}
	return c.wire.send(ctx, fmt.Sprintf(format, texts...))
}

// Expect returns the first element received, and not yet taken by another Expect, that match accepts. It waits for
// it, until the stream ends (its error then says how) or ctx does.
func (c *Client) Expect(ctx context.Context, what string, match func(*Element) bool) (*Element, error) {
	e, err := c.inbox.take(ctx, match)
	if err != nil {
		return nil, fmt.Errorf("%s waits for %s: %w", c.name(), what, err)
	}
	return e, nil
}

// Ended waits for the end of the stream and returns its error, a *StreamError where the server gave a reason.
func (c *Client) Ended(ctx context.Context) error {
	_, err := c.inbox.take(ctx, func(*Element) bool { return false })
	return err
}

// Received is everything received and not yet taken.
func (c *Client) Received() []*Element { return c.inbox.peek() }

// ID makes a stanza id that this client has not used yet.
func (c *Client) ID() string { return fmt.Sprintf("e2e-%d", c.ids.Add(1)) }

func (c *Client) name() string {
	if c.JID != "" {
		return c.JID
	}
	return "a client of " + c.opt.Domain
}
