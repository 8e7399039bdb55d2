package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/config"
)

// sentinel asks the Sentinels themselves, besides what the client asks them.
type sentinel struct {
	master   string
	username string
	password string
	clients  []*redis.SentinelClient
	addrs    []string
}

func newSentinel(c *config.Sentinel, secure *tls.Config) (*sentinel, error) {
	password, err := secretOf(c.Password, c.PasswordFile)
	if err != nil {
		return nil, err
	}
	s := &sentinel{master: c.Master, username: c.Username, password: password, addrs: c.Addresses}
	for _, addr := range c.Addresses {
		s.clients = append(s.clients, redis.NewSentinelClient(&redis.Options{
			Addr: addr, Username: c.Username, Password: password, TLSConfig: secure,
			MaxRetries: -1, DialerRetries: 1, DialTimeout: dialTimeout, ReadTimeout: readTimeout,
			ContextTimeoutEnabled: true, PoolSize: 1, DisableIdentity: true,
		}))
	}
	return s, nil
}

func (s *sentinel) options(c *config.Redis, secure *tls.Config) *redis.FailoverOptions {
	return &redis.FailoverOptions{
		MasterName: s.master, SentinelAddrs: s.addrs, SentinelUsername: s.username, SentinelPassword: s.password,
		DB: c.DB, TLSConfig: secure,
		CredentialsProviderContext: credentials(c.Username, c.Password, c.PasswordFile),
		MaxRetries:                 -1, DialerRetries: 1, DialTimeout: dialTimeout, ReadTimeout: readTimeout,
		ContextTimeoutEnabled: true, DisableIdentity: true, PipelinePoolSize: -1,
	}
}

// masterless makes one sentence of what Sentinels say when none of them names a master. The driver joins their answers by
// line breaks, and takes over redis.Nil from one that knows of no such master, which to a caller means an empty answer of
// Redis.
type masterless struct{}

func (masterless) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil && (errors.Is(err, redis.Nil) || strings.Contains(err.Error(), "\n")) {
			err = errors.New(strings.NewReplacer("\n", "; ", redis.Nil.Error(), "they know of no master of this name").Replace(err.Error()))
		}
		return conn, err
	}
}

func (masterless) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (masterless) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// replicas is how many replicas the Sentinels know of, those that are down included: any of them may be made master.
func (s *sentinel) replicas(ctx context.Context) (int, error) {
	var errs []error
	for _, client := range s.clients {
		found, err := client.Replicas(ctx, s.master).Result()
		if err == nil {
			return len(found), nil
		}
		errs = append(errs, err)
	}
	return 0, errors.Join(errs...)
}

func (s *sentinel) close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, client := range s.clients {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}
