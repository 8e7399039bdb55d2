// Package config turns one YAML file and the environment into typed, checked values.
//
// The types of this package carry everything that is said about a key: its name, default, allowed values and example
// stand in the field's tag, its documentation is the field's comment. The commented example and docs/configuration.md
// are made from them, so a key that is documented exists and a key that exists is documented.
//
// Load returns a fresh value each time and holds nothing: a reload is a second call.
package config

import "time"

// Config is a whole usher.yaml, defaults applied.
type Config struct {
	// Where the verify listener listens: Prosody's modules ask here. Off loopback it needs verify.credential_required.
	Listen string `yaml:"listen" default:"127.0.0.1:9160"`
	// Further host names, without ports, that both listeners answer to, beside the loopback names. A request with any
	// other Host header is refused, so that a web page cannot reach usher through a name of its own (DNS rebinding).
	Hosts []string `yaml:"hosts" example:"[usher.internal]"`
	// Who may ask the verify listener.
	Verify Verify `yaml:"verify"`
	// The listener for people and their tools: CLI, API, metrics. It always wants a credential.
	Admin Admin `yaml:"admin"`
	// What is written to stderr.
	Log Log `yaml:"log"`
	// Bounds on what one caller may cost.
	Limits Limits `yaml:"limits"`
	// The folder of the embedded store: revocations, audit, spill and the local credential. It is made at first start.
	DataDir string `yaml:"data_dir" default:"/var/lib/usher" file:"dir"`
	// The store that a fleet shares. Left out, everything is in data_dir and nothing has to be installed.
	Redis *Redis `yaml:"redis"`
	// What tokens may do, by profile. A Prosody host uses the profile that it names (usher_profile), else the one named
	// as the host itself, else `default`. To name one that does not exist is a deny, never a fall-through.
	Profiles map[string]*Profile `yaml:"profiles"`
	// The record of decisions: how long, how much, how private.
	Audit Audit `yaml:"audit"`

	// Path is the file that was read; empty where the environment alone was the config.
	Path string `yaml:"-"`

	places places
}

// Verify is who may ask the verify listener.
type Verify struct {
	// Ask callers of the verify listener for a credential (Prosody sends it from usher_credential_file). Off loopback it must be true.
	CredentialRequired bool `yaml:"credential_required" default:"false"`
}

// Admin is the listener for people and their tools.
type Admin struct {
	// Where the admin listener listens. Off loopback it needs tls, or insecure: true.
	Listen string `yaml:"listen" default:"127.0.0.1:9161"`
	// Certificate and key of the admin listener; a SIGHUP takes up renewed ones. Commands on this machine trust it, whatever name it is for.
	TLS TLS `yaml:"tls"`
	// Serve the admin listener off loopback without TLS. Credentials then cross the network in the clear, unless
	// something in front of it does TLS.
	Insecure bool `yaml:"insecure" default:"false"`
}

// TLS is a certificate and its key.
type TLS struct {
	// PEM file with the certificate and its chain. Empty: no TLS.
	Cert string `yaml:"cert" file:"read" example:"/etc/usher/tls.crt"`
	// PEM file with the certificate's private key.
	Key string `yaml:"key" file:"secret" example:"/etc/usher/tls.key"`
}

// Log is what is written to stderr.
type Log struct {
	// The lowest level that is written.
	Level string `yaml:"level" default:"info" enum:"debug|info|warn|error"`
	// How lines look; auto is text on a terminal and json elsewhere.
	Format string `yaml:"format" default:"auto" enum:"auto|text|json"`
}

// Limits are bounds on what one caller may cost.
type Limits struct {
	// The longest token that is looked at; a longer one is denied with token_too_large. Prosody takes no more than 10 KiB of headers anyway.
	MaxTokenSize Size `yaml:"max_token_size" default:"8KiB"`
	// How many bad tokens a minute may come from one address, of IPv6 its /64. After that every token from there, good ones too, is answered with rate_limited (wait) until the minute is over. Set it only where Prosody sees clients' own addresses (trusted_proxies): behind a proxy all share one. 0: no limit.
	BadTokensPerAddress int `yaml:"bad_tokens_per_address" default:"0"`
}

// Redis is the store that a fleet shares. One of URL, Sentinel and Cluster is set.
type Redis struct {
	// One server: redis://host:port/database, or rediss:// for TLS.
	URL string `yaml:"url" example:"redis://127.0.0.1:6379/0"`
	// A master that Sentinels watch over, instead of url.
	Sentinel *Sentinel `yaml:"sentinel"`
	// A Redis Cluster, instead of url.
	Cluster *Cluster `yaml:"cluster"`
	// The ACL user. Empty: Redis' default user.
	Username string `yaml:"username" example:"usher"`
	// The user's password, inline; password_file is the better place.
	Password Secret `yaml:"password"`
	// File that holds the password.
	PasswordFile string `yaml:"password_file" file:"secret" example:"/run/secrets/redis"`
	// What every key in Redis begins with. Fleets that share a Redis need different ones.
	Prefix string `yaml:"prefix" default:"usher:"`
	// The database's number, with sentinel; a url names it in its path, a cluster has only one.
	DB int `yaml:"db" default:"0"`
	// TLS towards Redis: on by itself for rediss://.
	TLS RedisTLS `yaml:"tls"`
}

// Sentinel is a Redis master that Sentinels watch over.
type Sentinel struct {
	// The master's name, as the Sentinels know it.
	Master string `yaml:"master" example:"mymaster"`
	// The Sentinels, as host:port.
	Addresses []string `yaml:"addresses" example:"[127.0.0.1:26379]"`
	// The ACL user of the Sentinels themselves.
	Username string `yaml:"username"`
	// The password of the Sentinels themselves, inline; password_file is the better place.
	Password Secret `yaml:"password"`
	// File that holds the Sentinels' password.
	PasswordFile string `yaml:"password_file" file:"secret" example:"/run/secrets/sentinel"`
}

// Cluster is a Redis Cluster.
type Cluster struct {
	// Some of the cluster's nodes, as host:port; the others are found through them.
	Addresses []string `yaml:"addresses" example:"[127.0.0.1:7000, 127.0.0.1:7001]"`
}

// RedisTLS is how the connection to Redis is protected.
type RedisTLS struct {
	// Speak TLS to the servers of sentinel or cluster.
	Enabled bool `yaml:"enabled" default:"false"`
	// PEM file of the authorities to trust instead of the system's.
	CA string `yaml:"ca" file:"read" example:"/etc/usher/redis-ca.pem"`
	// PEM file of the client certificate, where Redis asks for one.
	Cert string `yaml:"cert" file:"read"`
	// PEM file of the client certificate's private key.
	Key string `yaml:"key" file:"secret"`
}

// Audit is the record of decisions.
type Audit struct {
	// How long events are kept.
	Retention time.Duration `yaml:"retention" default:"90d"`
	// How much space events may take before the oldest go.
	MaxSize Size `yaml:"max_size" default:"10GiB"`
	// How much may wait on disk while the store is away, 16MiB or more. Past it events are shed, counted and reported.
	SpillMax Size `yaml:"spill_max" default:"1GiB"`
	// Record the user's name and e-mail as well. The user's id is recorded always.
	Names bool `yaml:"names" default:"false"`
	// Key for pseudonyms, inline; pseudonym_key_file is the better place.
	PseudonymKey Secret `yaml:"pseudonym_key"`
	// File with a key: user ids and addresses are recorded as keyed hashes, found again by whoever knows the value. Empty: recorded as they are.
	PseudonymKeyFile string `yaml:"pseudonym_key_file" file:"secret" example:"/etc/usher/pseudonym.key"`
	// Write each event as one line for a SIEM as well: usher's own shape (jsonl) or OCSF Authentication events (ocsf).
	Sink string `yaml:"sink" default:"none" enum:"none|jsonl|ocsf"`
	// Where the sink writes: a file, or - for stdout.
	SinkPath string `yaml:"sink_path" default:"-" file:"new"`
}
