package client

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// bosh is XMPP over HTTP requests that the server holds open (XEP-0124, XEP-0206). One request always waits at the
// server; a stanza to send goes in a second one, which makes the server answer the first.
type bosh struct {
	http   http.Client
	opt    Options
	url    string
	sid    string
	alive  context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	outgoing chan body    // to the pump
	incoming chan arrived // from the pump, in the order of the requests
	unread   []*Element   // belongs to receive
	ended    error        // belongs to receive
}

type body struct{ attributes, content string }

type arrived struct {
	body *Element
	err  error
}

func dialBOSH(opt Options) (*bosh, error) {
	b := &bosh{opt: opt, url: opt.URL + queryOf(opt)}
	b.outgoing, b.incoming = make(chan body), make(chan arrived, 16)
	b.alive, b.cancel = context.WithCancel(context.Background())
	return b, nil
}

func (b *bosh) restart(ctx context.Context) error {
	if b.sid != "" {
		return b.enqueue(ctx, body{attributes: `xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh'`})
	}
	rid := rand.Int64N(1 << 40)
	opened := b.exchange(ctx, rid, body{attributes: fmt.Sprintf(
		`to='%s' ver='1.6' wait='60' hold='1' xml:lang='en' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'`,
		Escape(b.opt.Domain))})
	if opened.err != nil {
		return opened.err
	}
	b.sid = opened.body.Attr("sid")
	b.incoming <- opened
	b.wg.Go(func() { b.pump(rid + 1) })
	return nil
}

func (b *bosh) send(ctx context.Context, text string) error {
	return b.enqueue(ctx, body{content: text})
}

func (b *bosh) enqueue(ctx context.Context, out body) error {
	select {
	case b.outgoing <- out:
		return nil
	case <-b.alive.Done():
		return fmt.Errorf("the BOSH session is closed")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pump keeps one request waiting at the server, has never more than two under way, and hands the answers on in the
// order of the requests, whichever comes first.
func (b *bosh) pump(next int64) {
	type numbered struct {
		rid int64
		arrived
	}
	done := make(chan numbered, 2)
	early := map[int64]arrived{}
	oldest := next
	post := func(out body) {
		rid := next
		next++
		b.wg.Go(func() { done <- numbered{rid, b.exchange(b.alive, rid, out)} })
	}
	for b.alive.Err() == nil {
		underway := next - oldest - int64(len(early))
		outgoing := b.outgoing
		if underway >= 2 {
			outgoing = nil
		}
		if underway == 0 {
			post(body{})
			continue
		}
		select {
		case out := <-outgoing:
			post(out)
		case a := <-done:
			early[a.rid] = a.arrived
			for answer, ok := early[oldest]; ok; answer, ok = early[oldest] {
				delete(early, oldest)
				oldest++
				select {
				case b.incoming <- answer:
				case <-b.alive.Done():
				}
			}
		case <-b.alive.Done():
		}
	}
}

// exchange posts one request and waits for its answer.
func (b *bosh) exchange(ctx context.Context, rid int64, out body) arrived {
	sid := ""
	if b.sid != "" {
		sid = fmt.Sprintf(" sid='%s'", Escape(b.sid))
	}
	text := fmt.Sprintf(`<body xmlns='http://jabber.org/protocol/httpbind' rid='%d'%s %s>%s</body>`,
		rid, sid, out.attributes, out.content)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, strings.NewReader(text))
	if err != nil {
		return arrived{err: err}
	}
	for name, values := range b.opt.Header {
		req.Header[name] = values
	}
	req.Host = b.opt.Domain
	req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	answer, err := b.http.Do(req)
	if err != nil {
		return arrived{err: fmt.Errorf("post to BOSH: %w", err)}
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return arrived{err: fmt.Errorf("read from BOSH: %w", err)}
	}
	if answer.StatusCode != http.StatusOK {
		return arrived{err: fmt.Errorf("BOSH answered with HTTP status %d", answer.StatusCode)}
	}
	var e Element
	if err := xml.Unmarshal(raw, &e); err != nil {
		return arrived{err: fmt.Errorf("BOSH answered with what is not XML: %w", err)}
	}
	return arrived{body: &e}
}

func (b *bosh) receive() (*Element, error) {
	for len(b.unread) == 0 {
		if b.ended != nil {
			return nil, b.ended
		}
		var a arrived
		select {
		case a = <-b.incoming:
		case <-b.alive.Done():
			return nil, fmt.Errorf("the BOSH session is closed")
		}
		if a.err != nil {
			return nil, a.err
		}
		b.unread = a.body.Children
		if a.body.Attr("type") == "terminate" {
			b.ended = fmt.Errorf("the server ended the BOSH session: %q", a.body.Attr("condition"))
			b.cancel()
		}
	}
	e := b.unread[0]
	b.unread = b.unread[1:]
	return e, nil
}

// close ends the session at the server as well: nothing else tells it before its inactivity limit. The answer to
// that ends receive, which ends b.alive.
func (b *bosh) close() {
	ctx, cancel := context.WithTimeout(b.alive, time.Second)
	defer cancel()
	if b.enqueue(ctx, body{attributes: `type='terminate'`}) == nil {
		<-ctx.Done()
	}
	b.cancel()
	b.wg.Wait()
	b.http.CloseIdleConnections()
}
