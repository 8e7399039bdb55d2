package prosodyconf

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// keys are a host's key sources as usher names them.
type keys struct {
	algorithms []string
	entries    []entry
	file       *SecretFile
	allowShort bool
	allowHTTP  bool
	notes      []string
}

// entry is one source under keys: usher's name, its value, and the option that it comes from.
type entry struct{ name, value, option string }

// minSecret is the length under which usher refuses a secret that nobody has excused.
const minSecret = 32

// keysOf follows upstream: with a key server or a URL of keys, an app_secret has no effect.
func (c *Config) keysOf(h *Host, options Options) (keys, error) {
	k := keys{}
	algorithm := h.String("signature_algorithm", "")
	asap, certs := h.String("asap_key_server", ""), h.String("cache_keys_url", "")
	if asap == "" && certs == "" {
		err := k.secret(c, h, algorithm, options)
		return k, err
	}
	algorithm = cmp.Or(algorithm, "RS256")
	if !strings.HasPrefix(algorithm, "RS") {
		k.note(h, "signature_algorithm = %q never fits keys from a URL, so no token was accepted; the algorithms are left to the keys", algorithm)
	} else {
		k.algorithms = []string{algorithm}
	}
	if certs != "" {
		k.keysURL(h, certs)
	}
	if asap != "" {
		k.url(entry{"asap_url", asap, "asap_key_server"})
	}
	if h.String("app_secret", "") != "" {
		k.note(h, "app_secret has no effect beside a key server or cache_keys_url, and is not taken over; remove it")
	}
	return k, nil
}

func (k *keys) note(h *Host, format string, a ...any) {
	k.notes = append(k.notes, h.Name+": "+fmt.Sprintf(format, a...))
}

// keysURL: upstream finds out at each fetch whether it holds a key set or a map from kid to certificate; the URL's own
// words tell them apart nearly always.
func (k *keys) keysURL(h *Host, address string) {
	lower := strings.ToLower(address)
	if strings.Contains(lower, "x509") || strings.Contains(lower, "cert") && !strings.Contains(lower, "jwk") {
		k.url(entry{"certs_url", address, "cache_keys_url"})
		return
	}
	k.url(entry{"jwks_url", address, "cache_keys_url"})
	k.note(h, "cache_keys_url is taken for a JSON Web Key Set; if it answers with a map from kid to certificate, write certs_url in place of jwks_url")
}

func (k *keys) url(e entry) {
	k.entries = append(k.entries, e)
	if u, err := url.Parse(e.value); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		k.allowHTTP = true
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// secret takes app_secret: a shared secret, the text of a public key, or the path of one.
func (k *keys) secret(c *Config, h *Host, algorithm string, options Options) error {
	v, _ := h.Lookup("app_secret")
	secret := h.String("app_secret", "")
	if secret == "" {
		return fmt.Errorf("%s: neither app_secret nor asap_key_server nor cache_keys_url is set, so Jitsi's module does not load there; set one, and import again", h.Name)
	}
	if algorithm != "" {
		k.algorithms = []string{algorithm}
	}
	asymmetric := algorithm != "" && !strings.HasPrefix(algorithm, "HS")
	pem, path := pemIn(secret, filepath.Dir(fileOf(v.Where)))
	switch {
	case pem != "" && strings.Contains(pem, "PRIVATE KEY"):
		return privateKey(h, v.Where, path)
	case path != "" && (pem != "" || asymmetric):
		k.entries = append(k.entries, entry{"pem", path, "app_secret"})
		if pem == "" {
			k.note(h, "app_secret names %s, which cannot be read here; usher needs it readable", path)
		}
	case pem != "":
		k.entries = append(k.entries, entry{"pem", secret, "app_secret"})
	case asymmetric: // not quoted: it may be a shared secret beside the wrong algorithm
		return fmt.Errorf("%s: app_secret (%s) is neither a public key nor the path of one, and signature_algorithm = %q needs one; correct either of them, and import again", h.Name, v.Where, algorithm)
	default:
		k.shared(c, h, secret, options)
		return nil
	}
	if !asymmetric {
		k.algorithms = nil
		k.note(h, "app_secret is a public key; a public key used as a shared secret lets everybody sign, so it verifies the algorithms of its own type only")
	}
	return nil
}

// shared puts a shared secret where it stays out of sight: where Prosody's config had it from, else into a file.
func (k *keys) shared(c *Config, h *Host, secret string, options Options) {
	if len(k.algorithms) == 0 {
		k.algorithms = []string{"HS256"}
	}
	if len(secret) < minSecret {
		k.allowShort = true
		k.note(h, "app_secret has %d bytes, and one under %d can be guessed from a single token; have the issuer use a longer one, then remove allow_short_secret", len(secret), minSecret)
	}
	from := c.sources[secret]
	switch {
	case from.file != "":
		k.entries = append(k.entries, entry{"secret_file", absolute(from.file), "app_secret"})
	case from.variable != "":
		k.entries = append(k.entries, entry{"secret_env", from.variable, "app_secret"})
	case options.InlineSecrets:
		k.entries = append(k.entries, entry{"secret", secret, "app_secret"})
	default:
		k.file = &SecretFile{Name: fileName(h.Name) + ".secret", Content: []byte(secret)}
		if strings.HasSuffix(secret, "\n") { // one newline at the end of a secret's file is none of the secret
			k.file.Content = append(k.file.Content, '\n')
		}
		k.entries = append(k.entries, entry{"secret_file", "./" + k.file.Name, "app_secret"})
	}
}

// privateKey refuses a key that only the issuer should have, with the line that mends it.
func privateKey(h *Host, where, path string) error {
	in, out := "app.key.pem", "app.pub.pem"
	if path != "" {
		in, out = path, strings.TrimSuffix(strings.TrimSuffix(path, ".pem"), ".key")+".pub.pem"
	}
	return fmt.Errorf("%s: app_secret (%s) is a private key, which only the issuer should have; write its public key with\n    openssl pkey -in %s -pubout -out %s\nset app_secret to the path of that, and import again", h.Name, where, shellQuoted(in), shellQuoted(out))
}

func shellQuoted(s string) string {
	if !strings.ContainsAny(s, " '\"$\\&|;<>()*?") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// pemIn finds PEM in the text of an app_secret, or in the file that it names. path is set where it looks like one.
func pemIn(secret, folder string) (pem, path string) {
	const begin = "-----BEGIN "
	if strings.Contains(secret, begin) {
		return secret, ""
	}
	if strings.ContainsAny(secret, "\n\x00") || !strings.ContainsAny(secret, "/.") {
		return "", ""
	}
	file := secret
	if !filepath.IsAbs(file) {
		file = filepath.Join(folder, file)
	}
	content, err := readRegular(file)
	switch {
	case err == nil && strings.Contains(string(content), begin):
		return string(content), absolute(file)
	case filepath.IsAbs(secret):
		return "", secret
	}
	return "", ""
}

func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// fileOf gives the file of a place.
func fileOf(where string) string {
	return where[:max(strings.LastIndexByte(where, ':'), 0)]
}

// fileName keeps a host's name from leaving the folder.
func fileName(host string) string {
	return strings.Map(func(r rune) rune {
		if r == os.PathSeparator || r < ' ' {
			return '_'
		}
		return r
	}, host)
}
