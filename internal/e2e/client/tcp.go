package client

import (
	"context"
	"encoding/xml"
	"fmt"
	"net"
	"strings"
)

// tcp is XMPP over a plain TCP connection (RFC 6120): one endless document each way.
type tcp struct {
	conn    net.Conn
	decoder *xml.Decoder
	header  string
}

func dialTCP(ctx context.Context, opt Options) (*tcp, error) {
	return openTCP(ctx, strings.TrimPrefix(opt.URL, "tcp://"), opt.Domain, "jabber:client")
}

func openTCP(ctx context.Context, address, domain, namespace string) (*tcp, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect by TCP: %w", err)
	}
	header := fmt.Sprintf(`<?xml version='1.0'?><stream:stream xmlns='%s' `+
		`xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='%s'>`, namespace, Escape(domain))
	return &tcp{conn: conn, decoder: xml.NewDecoder(conn), header: header}, nil
}

func (t *tcp) restart(ctx context.Context) error { return t.send(ctx, t.header) }

func (t *tcp) send(_ context.Context, text string) error {
	_, err := t.conn.Write([]byte(text))
	return err
}

// receive returns the next child of the stream. A restart opens a stream inside the old one, as far as the decoder
// can tell; both opening tags are handed out as elements without content, since they carry the stream's id.
func (t *tcp) receive() (*Element, error) {
	for {
		token, err := t.decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("the TCP stream ended: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Local == "stream" {
			return &Element{XMLName: start.Name, Attrs: start.Attr}, nil
		}
		var e Element
		if err := t.decoder.DecodeElement(&e, &start); err != nil {
			return nil, fmt.Errorf("the server sent what is not XML: %w", err)
		}
		return &e, nil
	}
}

func (t *tcp) close() { _ = t.conn.Close() }
