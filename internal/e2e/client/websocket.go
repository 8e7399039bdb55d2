package client

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"

	"github.com/coder/websocket"
)

// webSocket is XMPP over WebSocket (RFC 7395): each message is one whole element.
type webSocket struct {
	conn   *websocket.Conn
	domain string
	cancel context.CancelFunc
	alive  context.Context
}

func dialWebSocket(ctx context.Context, opt Options) (*webSocket, error) {
	conn, answer, err := websocket.Dial(ctx, opt.URL+queryOf(opt), &websocket.DialOptions{
		Subprotocols: []string{"xmpp"},
		HTTPHeader:   opt.Header,
		Host:         opt.Domain,
	})
	if err != nil {
		if answer != nil && answer.StatusCode != http.StatusSwitchingProtocols {
			return nil, fmt.Errorf("WebSocket refused with HTTP status %d", answer.StatusCode)
		}
		return nil, fmt.Errorf("connect by WebSocket: %w", err)
	}
	conn.SetReadLimit(1 << 20)
	w := &webSocket{conn: conn, domain: opt.Domain}
	w.alive, w.cancel = context.WithCancel(context.Background())
	return w, nil
}

func (w *webSocket) restart(ctx context.Context) error {
	return w.send(ctx, fmt.Sprintf(
		`<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0' to='%s'/>`, Escape(w.domain)))
}

func (w *webSocket) send(ctx context.Context, text string) error {
	return w.conn.Write(ctx, websocket.MessageText, []byte(text))
}

func (w *webSocket) receive() (*Element, error) {
	_, message, err := w.conn.Read(w.alive)
	if err != nil {
		return nil, fmt.Errorf("the WebSocket ended: %w", err)
	}
	var e Element
	if err := xml.Unmarshal(message, &e); err != nil {
		return nil, fmt.Errorf("the server sent what is not XML: %w", err)
	}
	return &e, nil
}

func (w *webSocket) close() {
	w.cancel()
	_ = w.conn.CloseNow()
}

// queryOf is the token and the caller's own parameters as the query part of a URL.
func queryOf(opt Options) string {
	query := url.Values{}
	for name, values := range opt.Query {
		query[name] = values
	}
	if opt.Token != "" {
		query.Set("token", opt.Token)
	}
	if len(query) == 0 {
		return ""
	}
	return "?" + query.Encode()
}
