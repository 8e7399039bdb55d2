package config

import (
	"crypto/tls"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checkAll judges what single keys cannot know: what belongs together, what excludes each other, what is missing.
func (r *report) checkAll(cfg *Config) {
	r.checkListeners(cfg)
	r.checkHosts(cfg.Hosts)
	if n := cfg.Limits.MaxTokenSize; n < 1<<10 || n > 1<<20 {
		r.fault("limits.max_token_size", "limits.max_token_size must be between 1KiB and 1MiB, not %s; 8KiB is the default", n)
	}
	if cfg.DataDir == "" {
		r.fault("data_dir", "data_dir is empty; name a folder that usher may write to")
	}
	if cfg.Redis != nil {
		r.checkRedis(cfg.Redis)
	}
	r.checkAudit(&cfg.Audit)
	if len(cfg.Profiles) == 0 && !r.wrong("") {
		r.fault("profiles", "there are no profiles, so no token could enter; add profiles with one issuer, as `usher config example` shows")
	}
	for _, name := range cfg.ProfileNames() {
		r.checkProfile(join("profiles", name), cfg.Profiles[name])
	}
}

func (r *report) checkListeners(cfg *Config) {
	verify, verifyLocal := r.address("listen", cfg.Listen)
	admin, adminLocal := r.address("admin.listen", cfg.Admin.Listen)
	if verify != "" && verify == admin && !strings.HasSuffix(admin, ":0") {
		r.fault("admin.listen", "admin.listen is the same address as listen; give it a port of its own")
	}
	if verify != "" && !verifyLocal && !cfg.Verify.CredentialRequired {
		r.fault("listen", "listen is not a loopback address, so everybody on the network could ask; set verify.credential_required: true, or listen on 127.0.0.1")
	}
	r.pairOfFiles("admin.tls.cert", cfg.Admin.TLS.Cert, "admin.tls.key", cfg.Admin.TLS.Key)
	switch {
	case admin == "" || adminLocal || cfg.Admin.TLS.Cert != "":
	case cfg.Admin.Insecure:
		r.warn("admin.insecure", "the admin listener is off loopback without TLS, so credentials cross the network in the clear; set admin.tls, or let something with TLS stand in front of it")
	case !r.wrong("admin") && !r.wrong("admin.tls"):
		r.fault("admin.listen", "admin.listen is not a loopback address and has no TLS; set admin.tls.cert and admin.tls.key, or admin.insecure: true where something in front of it does TLS")
	}
}

func (r *report) pairOfFiles(cert, certFile, key, keyFile string) {
	switch {
	case certFile != "" && keyFile == "" && !r.wrong(key):
		r.fault(cert, "%s is set without %s; a certificate needs its key", cert, key)
	case keyFile != "" && certFile == "" && !r.wrong(cert):
		r.fault(key, "%s is set without %s; a key needs its certificate", key, cert)
	case certFile != "" && !r.wrong(cert) && !r.wrong(key):
		if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
			r.fault(cert, "%s and %s cannot be used together (%s); name a certificate in PEM and the private key that it was made for", cert, key, cause(err))
		}
	}
}

// address checks host:port and gives it back, empty where it is none; local says whether only this machine gets there.
func (r *report) address(path, text string) (address string, local bool) {
	if r.wrong(path) {
		return "", false
	}
	host, port, err := net.SplitHostPort(text)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n > 65535 || strings.ContainsAny(host, "/@ ") {
		if at := strings.LastIndexByte(text, '@'); at >= 0 { // a URL, with a password perhaps
			text = "…" + text[at:]
		}
		r.fault(path, "%s must be host:port such as 127.0.0.1:9160, not %q", path, text)
		return "", false
	}
	return text, loopback(host)
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

func (r *report) checkHosts(hosts []string) {
	for i, host := range hosts {
		if strings.ContainsAny(host, "/ @*") || strings.Contains(host, ":") && !(strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")) {
			path := indexed("hosts", i)
			r.fault(path, "%s must be a host name as it stands in a Host header, without a port, such as usher.internal or [fd00::1], not %q", path, host)
		}
	}
}

func (r *report) checkAudit(a *Audit) {
	if a.Retention < time.Hour {
		r.fault("audit.retention", "audit.retention must be an hour or more, not %s; 90d is the default", a.Retention)
	}
	if a.MaxSize < 1<<20 {
		r.fault("audit.max_size", "audit.max_size must be 1MiB or more, not %s", a.MaxSize)
	}
	// What the queue in memory holds comes out of it at once.
	if a.SpillMax < 16<<20 {
		r.fault("audit.spill_max", "audit.spill_max must be 16MiB or more, not %s, for else one busy moment fills it and events are lost with the store in good health; 1GiB is the default", a.SpillMax)
	}
	if a.SinkPath == "" {
		r.fault("audit.sink_path", "audit.sink_path is empty; name a file, or - for stdout")
	}
	if a.Sink != "none" && a.SinkPath != "" && a.SinkPath != "-" {
		r.place(a.SinkPath)
	}
}

// place sees that the sink's file can be where it is to be.
func (r *report) place(file string) {
	const path = "audit.sink_path"
	folder := filepath.Dir(file)
	if info, err := os.Stat(folder); err != nil {
		r.fault(path, "%s is in the folder %s, which %s", path, folder, whyNot(err))
	} else if !info.IsDir() {
		r.fault(path, "%s is in %s, which is no folder; correct the path", path, folder)
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		r.fault(path, "%s names a folder; name a file in it", path)
	}
}

func (r *report) checkRedis(c *Redis) {
	var ways []string
	for _, way := range []struct {
		name string
		set  bool
	}{{"url", c.URL != ""}, {"sentinel", c.Sentinel != nil}, {"cluster", c.Cluster != nil}} {
		if way.set {
			ways = append(ways, way.name)
		}
	}
	if len(ways) != 1 && !r.wrong("redis") {
		r.fault("redis", "redis needs one of url, sentinel and cluster, and %s; keep one, or remove redis for the embedded store", howMany(ways))
	}
	if c.DB != 0 && c.Sentinel == nil && len(ways) == 1 {
		r.fault("redis.db", "redis.db has no effect beside %s; a url ends with the database's number, such as /3, and a cluster has but one", ways[0])
	}
	if c.URL != "" {
		r.redisURL(c)
	}
	if c.Sentinel != nil {
		if c.Sentinel.Master == "" && !r.wrong("redis.sentinel") {
			r.fault("redis.sentinel", "redis.sentinel has no master; name it as the Sentinels do, such as master: mymaster")
		}
		r.addresses("redis.sentinel", c.Sentinel.Addresses)
	}
	if c.Cluster != nil {
		r.addresses("redis.cluster", c.Cluster.Addresses)
	}
	if c.Prefix == "" {
		r.fault("redis.prefix", "redis.prefix is empty, so usher's keys could not be told from others; the default is \"usher:\"")
	}
	r.pairOfFiles("redis.tls.cert", c.TLS.Cert, "redis.tls.key", c.TLS.Key)
}

// redisURL takes the credentials out of the URL, so that no one who prints the URL prints them.
func (r *report) redisURL(c *Redis) {
	const path = "redis.url"
	u, err := url.Parse(c.URL)
	if err != nil || !slices.Contains([]string{"redis", "rediss"}, u.Scheme) || u.Host == "" {
		r.fault(path, "redis.url must look like redis://127.0.0.1:6379/0, or rediss:// for TLS")
		c.URL = ""
		return
	}
	if n := strings.TrimPrefix(u.Path, "/"); n != "" {
		if _, err := strconv.ParseUint(n, 10, 16); err != nil {
			r.fault(path, "redis.url must end with the database's number, such as /0")
		}
	}
	c.TLS.Enabled = c.TLS.Enabled || u.Scheme == "rediss"
	if u.User == nil {
		return
	}
	password, has := u.User.Password()
	if has && c.Password == "" {
		c.Password = Secret(password)
	}
	c.Username = first(c.Username, u.User.Username())
	u.User = nil
	c.URL = u.String()
	if has {
		r.warn(path, "redis.url has a password in it; put it into a file of mode 0600 and name that as redis.password_file")
	}
}

func (r *report) addresses(section string, list []string) {
	path := section + ".addresses"
	if len(list) == 0 && !r.wrong(section) {
		r.fault(section, "%s has no addresses; list some as host:port", section)
	}
	for i, a := range list {
		r.address(indexed(path, i), a)
	}
}

func indexed(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// howMany tells which of several alternatives are set.
func howMany(set []string) string {
	switch len(set) {
	case 0:
		return "none is set"
	case 1:
		return set[0] + " is set"
	default:
		return strings.Join(set, " and ") + " are set"
	}
}
