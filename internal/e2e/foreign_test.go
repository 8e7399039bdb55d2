package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/websocket"

	"github.com/usher-im/usher/internal/e2e"
	"github.com/usher-im/usher/internal/e2e/prosody"
	"github.com/usher-im/usher/internal/reason"
)

// What a client sees is judged here by clients that we did not write.

func TestForeignClient_MelliumJoinsByWebSocket(t *testing.T) {
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{})
		client := melliumLogin(t, s, e2e.Token(t, e2e.Claims{"room": "daily"}))
		if err := client.join(e2e.Context(t), e2e.Room("daily")); err != nil {
			t.Errorf("the token's own room: %v", err)
		}
		err := client.join(e2e.Context(t), e2e.Room("other"))
		var refused stanza.Error
		if !errors.As(err, &refused) || refused.Type != stanza.Cancel || refused.Condition != stanza.NotAllowed {
			t.Fatalf("another room: %v", err)
		}
		mustSay(t, refused.Text["en"]+refused.Text[""], reason.RoomMismatch)
	})
}

func TestForeignClient_SlixmppLogsInByPLAINOverTLSAndJoins(t *testing.T) {
	certificate := selfSigned(t, e2e.Domain)
	e2e.EachProsody(t, func(t *testing.T, release prosody.Release) {
		t.Parallel()
		s := e2e.Start(t, release, e2e.Setup{
			Modules: []string{"tls"},
			Host: fmt.Sprintf(`
				usher_plain = true
				ssl = { certificate = %q, key = %q }`, certificate, certificate),
		})
		said := slixmpp(t, map[string]any{
			"domain": e2e.Domain, "port": s.Prosody.C2SPort, "ca": certificate,
			"token": e2e.Token(t, e2e.Claims{"room": "daily"}),
			"rooms": []string{e2e.Room("daily"), e2e.Room("other")},
		})
		if len(said) != 3 || said[0].Login != "done" || !said[1].Joined || said[2].Joined || said[2].Condition != "not-allowed" {
			t.Fatalf("slixmpp saw %+v", said)
		}
		mustSay(t, said[2].Text, reason.RoomMismatch)

		said = slixmpp(t, map[string]any{
			"domain": e2e.Domain, "port": s.Prosody.C2SPort, "ca": certificate,
			"token": e2e.Token(t, e2e.Claims{"exp": seconds(-time.Minute)}),
		})
		if len(said) != 1 || said[0].Login != "refused" {
			t.Fatalf("slixmpp saw %+v", said)
		}
		mustSay(t, said[0].Text, reason.TokenExpired)
	})
}

// seen is a line of testdata/slixmpp_join.py.
type seen struct {
	Login, Room, Condition, Text string
	Joined                       bool
}

func slixmpp(t *testing.T, orders map[string]any) []seen {
	t.Helper()
	input, err := json.Marshal(orders)
	if err != nil {
		t.Fatal(err)
	}
	// Debian's own interpreter, which has Debian's slixmpp; another Python may come first in PATH.
	cmd := exec.CommandContext(e2e.Context(t), "/usr/bin/python3", "testdata/slixmpp_join.py")
	cmd.Stdin = bytes.NewReader(input)
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("slixmpp: %v\n%s%s", err, out, words.Bytes())
	}
	return readSeen(t, out)
}

// mellium is a session of that library. Its own muc.Client is not used: it races with itself while it joins.
type mellium struct {
	*xmpp.Session
	joined chan struct{}
}

// melliumLogin logs in by ANONYMOUS over WebSocket and serves the session until the test ends.
func melliumLogin(t *testing.T, s *e2e.Stack, token string) *mellium {
	t.Helper()
	ctx := e2e.Context(t)
	conn, err := websocket.DialDirect(ctx, "http://"+e2e.Domain, s.Prosody.WebSocketURL()+"?token="+url.QueryEscape(token))
	if err != nil {
		t.Fatal(err)
	}
	anonymous := xmpp.SASL("", "", sasl.Anonymous)
	anonymous.Necessary = 0 // the library wants TLS first; this is loopback
	session, err := websocket.NewSession(ctx, jid.MustParse(e2e.Domain), conn, anonymous, xmpp.BindResource())
	if err != nil {
		t.Fatal(err)
	}
	m := &mellium{session, make(chan struct{}, 1)}
	served := make(chan error, 1)
	go func() {
		served <- session.Serve(mux.New(stanza.NSClient, mux.PresenceFunc(stanza.AvailablePresence,
			xml.Name{Space: muc.NSUser, Local: "x"}, func(stanza.Presence, xmlstream.TokenReadEncoder) error {
				m.joined <- struct{}{} // the room is new, so the first presence is the own one
				return nil
			})))
	}()
	t.Cleanup(func() {
		_ = session.Close()
		_ = conn.Close()
		<-served
	})
	return m
}

// join returns nil, or the stanza.Error by which the room refused.
func (m *mellium) join(ctx context.Context, room string) error {
	// SendPresenceElement waits for an error alone, so it has to be told when none will come.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		x := xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: muc.NS, Local: "x"}})
		answer, err := m.SendPresenceElement(ctx, x, stanza.Presence{To: jid.MustParse(room + "/mellium")})
		if err == nil {
			defer answer.Close()
			if _, err = answer.Token(); err == nil {
				var refused stanza.Error
				if refused, err = stanza.UnmarshalError(answer); err == nil {
					err = refused
				}
			}
		}
		failed <- err
	}()
	select {
	case <-m.joined:
		return nil
	case err := <-failed:
		return err
	}
}

// selfSigned writes a certificate for domain and its key into one file.
func selfSigned(t *testing.T, domain string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cert.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
