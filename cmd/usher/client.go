package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/credential"
)

// node is how commands name the running node that they talk to.
type node struct {
	Server string `help:"Admin listener of the node to ask. Else $$${env}, else admin.listen of the config. $$USHER_CREDENTIAL_FILE names its credential; else it is the one in data_dir." placeholder:"URL" env:"USHER_SERVER"`
}

// client talks to the admin listener.
type client struct {
	base, secret string
	file         string // that the secret is from
	http         *http.Client
}

// client finds the node and the credential for it: $USHER_CREDENTIAL_FILE, else the one that serve left in data_dir.
func (n *node) client(c *commands, s streams) (*client, error) {
	path := os.Getenv("USHER_CREDENTIAL_FILE")
	base := strings.TrimSuffix(n.Server, "/")
	if u, err := url.Parse(base); base != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "") {
		return nil, usage("--server (or $USHER_SERVER) must be a URL such as http://127.0.0.1:9161, not %q", n.Server)
	}
	transport := http.DefaultTransport
	if base == "" || path == "" {
		cfg, err := c.load(streams{in: s.in, out: s.out, err: io.Discard})
		if err != nil {
			return nil, err
		}
		if base == "" {
			base = adminURL(cfg)
			if transport, err = toOwnAdmin(cfg.Admin.TLS.Cert); err != nil {
				return nil, err
			}
		}
		if path == "" {
			path = credential.LocalPath(cfg.DataDir)
		}
	}
	secret, err := credential.ReadSecret(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no credential at %s: start `usher serve` on this machine, or name one with $USHER_CREDENTIAL_FILE", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the credential %s may not be read by this user: run as usher's own user, or name another with $USHER_CREDENTIAL_FILE", path)
	case err != nil:
		return nil, fmt.Errorf("the credential cannot be read: %w", err)
	case secret == "" || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }): // no header takes it
		return nil, fmt.Errorf("%s holds no credential: it is one line, as `usher credential create` prints it", path)
	}
	return &client{base: base, secret: secret, file: path, http: &http.Client{Transport: transport}}, nil
}

func adminURL(cfg *config.Config) string {
	scheme := "http://"
	if cfg.Admin.TLS.Cert != "" {
		scheme = "https://"
	}
	return scheme + reachable(cfg.Admin.Listen)
}

// toOwnAdmin reaches the listener that the config sets up. Its certificate is for the name that others call it by, and here
// it is called by address; so the one in the config is taken, as it is, and no other.
func toOwnAdmin(cert string) (http.RoundTripper, error) {
	transport := direct()
	if cert == "" {
		return transport, nil
	}
	text, err := os.ReadFile(cert)
	if err != nil {
		return nil, fmt.Errorf("admin.tls.cert cannot be read: %w", err)
	}
	block, rest := pem.Decode(text)
	for block != nil && block.Type != "CERTIFICATE" {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, usage("admin.tls.cert names %s, which holds no certificate", cert)
	}
	transport.TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection is stricter
		VerifyConnection: func(c tls.ConnectionState) error {
			if len(c.PeerCertificates) == 0 || !bytes.Equal(c.PeerCertificates[0].Raw, block.Bytes) {
				return fmt.Errorf("it shows another certificate than %s, which admin.tls.cert names: a node takes up a new one at SIGHUP", cert)
			}
			return nil
		},
	}
	return transport, nil
}

// direct asks no proxy ($HTTP_PROXY): one has no way to this machine's own listeners, and would be shown the credential.
func direct() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	return transport
}

// answerTimeout bounds a question with one answer; streams are bounded by their context alone.
const answerTimeout = 60 * time.Second

// do asks once and reads the JSON answer into out (nil: it is dropped). A problem document becomes an error that says its
// detail.
func (cl *client) do(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return cl.ask(ctx, method, path, in, out)
}

// ask is do for what takes as long as it takes.
func (cl *client) ask(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	resp, err := cl.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("the answer of %s cannot be read (%w): is it an usher of this version?", cl.base, err)
	}
	return nil
}

// send asks and gives the open answer, or the problem as an error.
func (cl *client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, cl.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+cl.secret)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := cl.http.Do(req)
	if errors.Is(ctx.Err(), context.Canceled) && err != nil {
		return nil, fmt.Errorf("interrupted before the node at %s had answered: what it was asked for may be done", cl.base)
	}
	if err != nil {
		return nil, fmt.Errorf("the node at %s does not answer (%w): is `usher serve` running, and is --server right?", cl.base, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	var p struct {
		Type   string `json:"type"`
		Detail string `json:"detail"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p) != nil || p.Detail == "" {
		return nil, fmt.Errorf("the node at %s answered with status %d", cl.base, resp.StatusCode)
	}
	problem := &problemError{status: resp.StatusCode, kind: strings.TrimPrefix(p.Type, "urn:usher:problem:"), detail: p.Detail}
	if strings.HasPrefix(problem.kind, "credential-") || problem.kind == "role-missing" {
		return nil, fmt.Errorf("the node at %s does not take the credential in %s: %w", cl.base, cl.file, problem)
	}
	return nil, problem
}

// problemError is a problem document (RFC 9457) that a node answered with.
type problemError struct {
	status       int
	kind, detail string
}

func (p *problemError) Error() string { return p.detail }
