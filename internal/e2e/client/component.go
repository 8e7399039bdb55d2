package client

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
)

// DialComponent connects as an external component (XEP-0114) and returns when the server took its secret. What it
// sends must name its sender in from, and reaches Prosody's modules outside of any runner.
func DialComponent(ctx context.Context, address, domain, secret string) (*Client, error) {
	wire, err := openTCP(ctx, address, domain, "jabber:component:accept")
	if err != nil {
		return nil, err
	}
	c := &Client{JID: domain, opt: Options{Domain: domain}, wire: wire}
	c.inbox.init()
	if err := c.handshake(ctx, secret); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) handshake(ctx context.Context, secret string) error {
	if err := c.wire.restart(ctx); err != nil {
		return err
	}
	go c.read()
	stream, err := c.Expect(ctx, "the stream's id", named("stream"))
	if err != nil {
		return err
	}
	sum := sha1.Sum([]byte(stream.Attr("id") + secret)) // as XEP-0114 has it
	if err := c.Send(ctx, "<handshake>%s</handshake>", hex.EncodeToString(sum[:])); err != nil {
		return err
	}
	_, err = c.Expect(ctx, "the end of the handshake", named("handshake"))
	return err
}
