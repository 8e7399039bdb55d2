package config

import (
	"net/url"
	"strings"
	"time"
)

// sources lists an entry's sources that are set, by their key's name.
func (k *KeySource) sources() []string {
	var set []string
	for _, s := range []struct{ name, value string }{
		{"secret_env", k.SecretEnv}, {"secret_file", k.SecretFile}, {"pem", k.PEM}, {"jwks", k.JWKS},
		{"jwks_url", k.JWKSURL}, {"asap_url", k.ASAPURL}, {"certs_url", k.CertsURL},
	} {
		if s.value != "" {
			set = append(set, s.name)
		}
	}
	if k.Secret != "" && k.SecretEnv == "" {
		set = append(set, "secret")
	}
	return set
}

// shared says that the entry is a shared secret.
func (k *KeySource) shared() bool { return k.Secret != "" || k.SecretFile != "" || k.SecretEnv != "" }

// fixed says that the entry is one key, not a set of them.
func (k *KeySource) fixed() bool { return k.shared() || k.PEM != "" }

func (r *report) checkKeys(path string, iss *Issuer) {
	kids := map[string]string{}
	var nameless []string
	for i := range iss.Keys {
		k := &iss.Keys[i]
		here := indexed(path+".keys", i)
		r.checkKey(here, k, iss.AllowHTTP)
		if before, ok := kids[k.Kid]; ok && k.Kid != "" {
			r.fault(here+".kid", "%s has the kid %q that %s has already; give each key its own", here, k.Kid, before)
		}
		kids[k.Kid] = here
		if k.fixed() && k.Kid == "" {
			nameless = append(nameless, here)
		}
	}
	if len(nameless) > 1 {
		r.warn(nameless[1], "%s and %s have no kid, so where both fit a token it is denied with key_not_found; give each the kid that its tokens carry", nameless[0], nameless[1])
	}
}

func (r *report) checkKey(path string, k *KeySource, allowHTTP bool) {
	set := k.sources()
	if len(set) != 1 && !r.wrong(path) {
		r.fault(path, "%s needs one of secret_file, secret_env, secret, pem, jwks, jwks_url, asap_url and certs_url, and %s; write one entry for each key", path, howMany(set))
		return
	}
	if !k.fixed() {
		if k.Kid != "" {
			r.fault(path+".kid", "%s.kid has no effect: a set of keys brings its own kids; remove it", path)
		}
		if !k.NotAfter.IsZero() {
			r.fault(path+".not_after", "%s.not_after is for one secret or PEM; a key of a set ends when it leaves the set", path)
		}
	}
	if strings.ContainsAny(k.Kid, "\x00\r\n") {
		r.fault(path+".kid", "%s.kid has a line break or NUL in it; write it as the tokens do", path)
	}
	if isPEM(k.PEM) && strings.Contains(k.PEM, "PRIVATE KEY") {
		r.fault(path+".pem", "%s.pem is a private key, which only the issuer should have; write the public key, as `openssl pkey -pubout` makes it", path)
		k.PEM = ""
	}
	for _, u := range []struct{ name, text string }{{"jwks_url", k.JWKSURL}, {"asap_url", k.ASAPURL}, {"certs_url", k.CertsURL}} {
		if u.text != "" {
			r.keyURL(path+"."+u.name, u.text, allowHTTP)
			r.staleness(path+".max_stale", k.MaxStale)
		}
	}
}

// staleness: keys that serve for less than a minute would be gone before their server may be asked again.
func (r *report) staleness(path string, d time.Duration) {
	if d < time.Minute && !r.wrong(path) {
		r.fault(path, "%s must be a minute or more, not %s; a server is not asked often enough for less, and 24h is the default", path, d)
	}
}

// keyURL never quotes the URL: it may have a password or a key in it.
func (r *report) keyURL(path, text string, allowHTTP bool) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		r.fault(path, "%s is not a URL; write it like https://idp.example.com/jwks", path)
	case u.Scheme == "file" && u.Host == "" && u.Path != "" && !strings.HasSuffix(path, ".asap_url"):
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		r.fault(path, "%s must begin with https:// and a host; write it like https://idp.example.com/jwks", path)
	case u.User != nil:
		r.fault(path, "%s has a user or password in it, which is not supported; publish the keys without, they are public", path)
	case u.Scheme == "http" && !loopback(u.Hostname()) && !allowHTTP:
		override := "allow_http: true on the issuer"
		if r.places.file == "" {
			override = allowPlainHTTP + "=true"
		}
		r.fault(path, "%s is plain http off loopback, so whoever sits between could replace the keys; use https, or set %s", path, override)
	}
}
