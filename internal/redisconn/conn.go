// Package redisconn connects to the Redis that the config names: one server, a master behind Sentinels, or a Cluster.
package redisconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/usher-im/usher/internal/config"
)

// Client is a connection to the fleet's Redis, whichever way it runs.
//
// It never repeats a command by itself: who sends one knows whether it may be sent twice.
type Client struct {
	redis.UniversalClient
	// Prefix begins every key of this fleet.
	Prefix string

	cluster  *redis.ClusterClient
	single   *redis.Client
	sentinel *sentinel
}

// silent takes what the driver would print on stderr by itself. Every one of its errors also comes back to a caller, who
// says it once, in the log of the house.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(silent{}) }

const (
	dialTimeout = 2 * time.Second
	readTimeout = 3 * time.Second
)

// Open makes the client. It connects when it is first used, so that a node starts while its Redis is down.
func Open(c *config.Redis) (*Client, error) {
	secure, err := tlsOf(c.TLS)
	if err != nil {
		return nil, err
	}
	client := &Client{Prefix: c.Prefix}
	switch {
	case c.Cluster != nil:
		client.cluster = redis.NewClusterClient(clusterOptions(c, secure))
		client.UniversalClient = client.cluster
	case c.Sentinel != nil:
		if client.sentinel, err = newSentinel(c.Sentinel, secure); err != nil {
			return nil, err
		}
		client.single = redis.NewFailoverClient(client.sentinel.options(c, secure))
		client.single.AddHook(masterless{})
		client.UniversalClient = client.single
	default:
		opt, err := singleOptions(c, secure)
		if err != nil {
			return nil, err
		}
		client.single = redis.NewClient(opt)
		client.UniversalClient = client.single
	}
	return client, nil
}

// Primary is the server that takes writes to key. Commands that must follow each other on one connection go through
// its Conn.
func (c *Client) Primary(ctx context.Context, key string) (*redis.Client, error) {
	if c.cluster != nil {
		return c.cluster.MasterForKey(ctx, key)
	}
	return c.single, nil
}

// Single says whether nobody but the server itself knows its replicas.
func (c *Client) Single() bool { return c.cluster == nil && c.sentinel == nil }

// Moved makes the client look anew at who is primary of what, after a server said that it is not.
func (c *Client) Moved(ctx context.Context) {
	if c.cluster != nil {
		c.cluster.ReloadState(ctx)
	}
}

// Close closes all connections.
func (c *Client) Close() error {
	return errors.Join(c.UniversalClient.Close(), c.sentinel.close())
}

// credentials are read anew for each connection, so that a password file may change while we run.
func credentials(username string, password config.Secret, file string) func(context.Context) (string, string, error) {
	return func(context.Context) (string, string, error) {
		secret, err := secretOf(password, file)
		return username, secret, err
	}
}

func secretOf(inline config.Secret, file string) (string, error) {
	if file == "" {
		return string(inline), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the password of Redis: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

func tlsOf(c config.RedisTLS) (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("read the authorities for Redis (redis.tls.ca): %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s (redis.tls.ca) holds no certificate in PEM form", c.CA)
		}
	}
	if c.Cert == "" {
		return secure, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("load the client certificate for Redis (redis.tls.cert and key): %w", err)
	}
	secure.Certificates = []tls.Certificate{pair}
	return secure, nil
}

func singleOptions(c *config.Redis, secure *tls.Config) (*redis.Options, error) {
	opt, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, errors.New("redis.url must look like redis://127.0.0.1:6379/0, or rediss:// for TLS")
	}
	username, password := opt.Username, config.Secret(opt.Password)
	if c.Username != "" {
		username = c.Username
	}
	if c.Password != "" {
		password = c.Password
	}
	opt.Username, opt.Password = "", ""
	if secure == nil {
		secure = opt.TLSConfig
	}
	return &redis.Options{
		Addr: opt.Addr, Network: opt.Network, DB: opt.DB, TLSConfig: secure,
		CredentialsProviderContext: credentials(username, password, c.PasswordFile),
		MaxRetries:                 -1, DialerRetries: 1, DialTimeout: dialTimeout, ReadTimeout: readTimeout,
		ContextTimeoutEnabled: true, DisableIdentity: true, PipelinePoolSize: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}, nil
}

func clusterOptions(c *config.Redis, secure *tls.Config) *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs: c.Cluster.Addresses, TLSConfig: secure,
		CredentialsProviderContext: credentials(c.Username, c.Password, c.PasswordFile),
		MaxRetries:                 -1, DialerRetries: 1, DialTimeout: dialTimeout, ReadTimeout: readTimeout,
		ContextTimeoutEnabled: true, DisableIdentity: true, PipelinePoolSize: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}
