package keys

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/usher-im/usher/internal/config"
	"github.com/usher-im/usher/internal/keys/fetch"
	"github.com/usher-im/usher/internal/keys/material"
)

// entry is one KeySource with what the issuer allows, while its source is made.
type entry struct {
	config.KeySource
	ring *Ring
	opt  Options
}

// source makes the source of one entry, and reads it if it is here to be read.
func (r *Ring) source(cs config.KeySource, opt Options) (source, error) {
	e := entry{KeySource: cs, ring: r, opt: opt}
	if err := e.one(); err != nil {
		return nil, e.fail("", err)
	}
	switch {
	case cs.SecretFile != "":
		short := opt.AllowShortSecret // opt knows them as well
		return e.file("secret_file", cs.SecretFile, single(func(data []byte) (material.Key, error) {
			return material.SecretFile(data, short)
		}))
	case strings.HasPrefix(cs.PEM, "-----BEGIN "):
		return e.writtenPEM()
	case cs.PEM != "":
		return e.file("pem", cs.PEM, single(func(data []byte) (material.Key, error) {
			return material.PEM(data, cs.PEM)
		}))
	case cs.JWKS != "":
		return e.file("jwks", cs.JWKS, e.jwks(material.SetRules{Secrets: true, AllowShortSecret: opt.AllowShortSecret}))
	case cs.JWKSURL != "":
		return e.set("jwks_url", cs.JWKSURL, e.jwks(material.SetRules{}))
	case cs.CertsURL != "":
		return e.set("certs_url", cs.CertsURL, material.Certificates)
	case cs.ASAPURL != "":
		return e.asap()
	}
	return e.secret()
}

// one wants exactly one source in an entry, and a kid only where there is one key to bear it.
func (e entry) one() error {
	named := 0
	for _, value := range []string{string(e.Secret) + e.SecretEnv, e.SecretFile, e.PEM, e.JWKS, e.JWKSURL, e.ASAPURL, e.CertsURL} {
		if value != "" {
			named++
		}
	}
	if named != 1 {
		return fmt.Errorf("a key names %d sources; give each of secret, secret_file, secret_env, pem, jwks, jwks_url, asap_url and certs_url an entry of its own", named)
	}
	if e.Kid != "" && (e.JWKS != "" || e.JWKSURL != "" || e.ASAPURL != "" || e.CertsURL != "") {
		return fmt.Errorf("kid %s is set beside a source that names its keys itself; take it away", material.Quote(e.Kid))
	}
	return nil
}

// fail puts the place in the config, and the source, before what is wrong.
func (e entry) fail(what string, err error) error {
	switch {
	case e.Where == "" && what == "":
		return err
	case e.Where == "":
		return fmt.Errorf("%s: %w", what, err)
	case what == "":
		return fmt.Errorf("%s: %w", e.Where, err)
	}
	return fmt.Errorf("%s: %s: %w", e.Where, what, err)
}

// adopt makes a key of the ring out of one of the source. It is kept, and must not keep the entry: that knows the rings
// before this one.
func (e entry) adopt(label string) func(material.Key) *Key {
	kid, notAfter := e.Kid, e.NotAfter
	return func(m material.Key) *Key {
		if kid != "" {
			m.Kid = kid
		}
		k := newKey(m, label)
		k.NotAfter = notAfter
		return k
	}
}

func (e entry) secret() (source, error) {
	label, key := "secret", "secret"
	if e.SecretEnv != "" {
		label, key = "env "+e.SecretEnv, "secret_env "+e.SecretEnv
	}
	m, err := material.Secret([]byte(e.Secret), e.opt.AllowShortSecret)
	if err != nil {
		return nil, e.fail(key, err)
	}
	return &fixed{where: e.Where, keys: []*Key{e.adopt(label)(m)}, since: e.ring.now()}, nil
}

// writtenPEM is a PEM in the config itself, or in JWT_APP_SECRET, where docker-jitsi-meet has the public key.
func (e entry) writtenPEM() (source, error) {
	m, err := material.PEM([]byte(e.PEM), "")
	if err != nil {
		return nil, e.fail("pem", err)
	}
	return &fixed{where: e.Where, keys: []*Key{e.adopt("pem")(m)}, since: e.ring.now()}, nil
}

func (e entry) file(key, path string, decode decoder) (source, error) {
	label := "file " + path
	f := &file{log: e.ring.log, where: e.Where, label: label, path: path, decode: decode, adopt: e.adopt(label)}
	if _, err := f.load(e.ring.now()); err != nil {
		return nil, e.fail(key+" "+path, err)
	}
	for _, err := range f.left {
		e.ring.log.Warn("A key of a set is not taken", "file", path, "config", e.Where, "error", err)
	}
	return f, nil
}

// set is a URL with several keys; a file URL is followed as the file that it is, but brings no more than a URL may.
func (e entry) set(key, raw string, decode decoder) (source, error) {
	u, err := fetch.Address(raw, e.opt.AllowHTTP)
	if err != nil {
		return nil, e.fail(key, err)
	}
	if u.Scheme == "file" {
		return e.file(key, u.Path, decode)
	}
	return newSet(e.ring, e.followed(key, u), decode, e.opt.Predecessors), nil
}

func (e entry) asap() (source, error) {
	u, err := fetch.Address(e.ASAPURL, e.opt.AllowHTTP)
	if err != nil {
		return nil, e.fail("asap_url", err)
	}
	return newASAP(e.ring, e.followed("asap_url", u), e.opt.Predecessors), nil
}

// followed is what both kinds of URL source have in common.
type followed struct {
	kind     string // the config's key
	url      *url.URL
	where    string
	label    string
	maxStale time.Duration
	notAfter time.Time
	adopt    func(material.Key) *Key
}

func (e entry) followed(kind string, u *url.URL) followed {
	label := "url " + fetch.Shown(u)
	f := followed{kind: kind, url: u, where: e.Where, label: label, maxStale: e.MaxStale, notAfter: e.NotAfter, adopt: e.adopt(label)}
	if f.maxStale <= 0 {
		f.maxStale = e.ring.pace.maxStale
	}
	return f
}

// fresh is how long an answer counts before it is asked for again: never for longer than half of maxStale, so that the
// keys of a server that is well do not go stale, and one that is not has the other half to come back.
func (f followed) fresh(p pace, a fetch.Answer) time.Duration {
	return min(p.fresh(a.Fresh, a.Said), f.maxStale/2)
}

func (e entry) jwks(rules material.SetRules) decoder {
	return func(data []byte) ([]material.Key, []error, error) { return material.JWKS(data, rules) }
}

// single makes a decoder of a function that takes one key.
func single(decode func([]byte) (material.Key, error)) decoder {
	return func(data []byte) ([]material.Key, []error, error) {
		k, err := decode(data)
		if err != nil {
			return nil, nil, err
		}
		return []material.Key{k}, nil, nil
	}
}
