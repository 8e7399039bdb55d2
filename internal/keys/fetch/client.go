// Package fetch gets the bytes that a key source publishes. It trusts no server: every answer is bounded in time and
// size, is never followed to another host, and its caching headers are hints.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	// MaxBody bounds an answer and a file: a set of a thousand keys has room in it.
	MaxBody = 1 << 20
	// maxRedirects that stay on the same host are followed.
	maxRedirects = 3
)

// Client asks key sources.
type Client struct {
	http    *http.Client
	timeout time.Duration
}

// New makes a client that gives every question timeout, from name resolution to the last byte.
func New(timeout time.Duration) *Client {
	dialer := &net.Dialer{Timeout: timeout}
	return &Client{
		timeout: timeout,
		http: &http.Client{
			CheckRedirect: sameHost,
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            dialer.DialContext,
				TLSHandshakeTimeout:    timeout,
				MaxResponseHeaderBytes: 64 << 10,
				// Sources are asked minutes apart; a kept connection would only be one more that has died meanwhile.
				DisableKeepAlives: true,
			},
		},
	}
}

// Answer is what a source said.
type Answer struct {
	Body        []byte
	NotModified bool // what was fetched with the given ETag still holds; Body is empty
	ETag        string
	Fresh       time.Duration // how long it says that this holds, with Said
	Said        bool
}

// ErrNotFound: the source answers, and has no such thing (404 or 410).
var ErrNotFound = errors.New("the server answers 404: there is no such key")

// Get asks for u. With an etag of an earlier answer it asks whether that still holds.
func (c *Client) Get(ctx context.Context, u *url.URL, etag string) (Answer, error) {
	if u.Scheme == "file" {
		return readFile(u.Path)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return Answer{}, errors.New("the URL cannot be asked for")
	}
	request.Header.Set("User-Agent", "usher")
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Answer{}, c.plain(ctx, err)
	}
	defer response.Body.Close()
	return c.read(ctx, response, etag)
}

func (c *Client) read(ctx context.Context, response *http.Response, etag string) (Answer, error) {
	fresh, said := Freshness(response.Header)
	a := Answer{ETag: response.Header.Get("ETag"), Fresh: fresh, Said: said}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		if etag == "" {
			return Answer{}, errors.New("the server answers 304 to a question that did not offer that")
		}
		a.NotModified = true
		return a, nil
	case http.StatusNotFound, http.StatusGone:
		return Answer{}, ErrNotFound
	default:
		return Answer{}, fmt.Errorf("the server answers %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBody+1))
	if err != nil {
		return Answer{}, c.plain(ctx, err)
	}
	if len(body) > MaxBody {
		return Answer{}, errTooLarge
	}
	a.Body = body
	return a, nil
}

var errTooLarge = fmt.Errorf("the answer is larger than %d KiB", MaxBody>>10)

// redirectError is what a refused redirect becomes.
type redirectError struct{ to string }

func (e *redirectError) Error() string {
	return "the server redirects to " + e.to + ", which is another host; name that URL in the config if its keys are to be trusted"
}

// sameHost follows a redirect only where it stays: another host was never named as one that may give out keys. From
// http to https of the same host is no other host.
func sameHost(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("the server redirects in a circle")
	}
	from, to := via[0].URL, next.URL
	same := strings.EqualFold(bareHost(from), bareHost(to))
	switch {
	case same && (from.Scheme == to.Scheme || to.Scheme == "https"):
		return nil
	case same && to.Scheme == "http":
		return errPlain
	}
	return &redirectError{to: to.Scheme + "://" + to.Host}
}

// bareHost is u's host without the port that its scheme has anyway: load balancers write it out.
func bareHost(u *url.URL) string {
	return strings.TrimSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
}

var errNowhere = errors.New("the server redirects to what cannot be read as a URL")

var errPlain = errors.New("the server redirects from https to plain http, where anybody between can swap the keys")

// plain words an error of net/http without the URL, which may hold a credential, and without the port on this side, which
// is another each time: what stays as it is shall look so.
func (c *Client) plain(ctx context.Context, err error) error {
	if redirect := (*redirectError)(nil); errors.As(err, &redirect) {
		return redirect
	}
	if errors.Is(err, errPlain) {
		return errPlain
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the server did not answer in full within %s", c.timeout)
	}
	if lookup := (*net.DNSError)(nil); errors.As(err, &lookup) {
		there := *lookup
		if strings.Contains(there.Err, "->") { // "read udp 10.0.0.1:51234->10.0.0.53:53: i/o timeout", as a text
			there.Err = strings.TrimSpace(there.Err[strings.LastIndex(there.Err, ": ")+1:])
		}
		return &there
	}
	if broken := (*net.OpError)(nil); errors.As(err, &broken) {
		there := *broken
		there.Source = nil
		return &there
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		if strings.HasPrefix(wrapped.Err.Error(), "failed to parse Location") { // and quotes it: it may repeat our URL
			return errNowhere
		}
		return wrapped.Err
	}
	return err
}

func readFile(path string) (Answer, error) {
	body, err := File(path)
	if errors.Is(err, os.ErrNotExist) {
		return Answer{}, ErrNotFound
	}
	return Answer{Body: body}, err
}

// File reads a file as bounded as an answer.
func File(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unwrapped(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file") // a pipe would block whoever follows its changes
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unwrapped(err)
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, MaxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > MaxBody {
		return nil, errTooLarge
	}
	return body, nil
}

// unwrapped drops the path, which the caller names with its place in the config.
func unwrapped(err error) error {
	if wrapped := (*os.PathError)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
