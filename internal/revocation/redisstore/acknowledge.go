package redisstore

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation"
)

// Writes ride out a restart or a failover for so long.
const (
	patience  = 5 * time.Second
	firstWait = 20 * time.Millisecond
	lastWait  = 300 * time.Millisecond
)

// write runs fn on one connection to the server that takes writes, and again where that server cannot at the moment.
// Everything that is written here may be written twice.
func (s *Store) write(ctx context.Context, fn func(conn *redis.Conn, again bool) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var before error
	for wait, again := firstWait, false; ; wait, again = min(2*wait, lastWait), true {
		err := s.once(ctx, func(conn *redis.Conn) error { return fn(conn, again) })
		if before != nil && errors.Is(err, context.DeadlineExceeded) {
			return before // that the time was over says nothing of why
		}
		if err == nil || !passing(err) {
			return err
		}
		before = err
		s.client.Moved(ctx)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

func (s *Store) once(ctx context.Context, fn func(*redis.Conn) error) error {
	primary, err := s.client.Primary(ctx, s.key("meta"))
	if err != nil {
		return err
	}
	conn := primary.Conn()
	defer conn.Close()
	return s.asFormat(fn(conn))
}

// passing says whether an error is of the kind that goes by: no connection, or a server that is starting, was demoted,
// or lost its slots.
func passing(err error) bool {
	if errors.Is(err, revocation.ErrNotFound) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, redis.ErrClosed) {
		return true
	}
	for _, word := range []string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "UNBLOCKED", "NOREPLICAS"} {
		if strings.HasPrefix(err.Error(), word) {
			return true
		}
	}
	// What the client itself says where Sentinels or Cluster have no master at the moment.
	return strings.Contains(err.Error(), "all sentinels") || strings.Contains(err.Error(), "cluster has no") || strings.Contains(err.Error(), "can't get client")
}

// safe waits until what this connection wrote will not be lost, and says whether it came to that: the server writes a
// log, and where replicas stand behind it one of them has the write. A server that also tells when the log is on its
// disk (7.2) is asked for that too.
//
// A question that fails here is no failure of the write, which is done: it is then answered as not yet replicated.
func (s *Store) safe(ctx context.Context, conn *redis.Conn) bool {
	pipe := conn.Pipeline()
	replication, persistence, server := pipe.Info(ctx, "replication"), pipe.Info(ctx, "persistence"), pipe.Info(ctx, "server")
	if _, err := pipe.Exec(ctx); err != nil {
		return false
	}
	info := redisconn.ParseInfo(replication.Val() + persistence.Val() + server.Val())
	replicas, err := s.replicas(ctx, info)
	if err != nil || !info.Durable() {
		return false
	}
	if replicas > 0 {
		if n, err := conn.Wait(ctx, 1, s.opt.ReplicaWait).Result(); err != nil || n < 1 {
			return false
		}
	}
	if info.AtLeast(7, 2) {
		flushed, err := conn.WaitAOF(ctx, 1, 0, flushWait).Result()
		return err == nil && len(flushed) > 0 && flushed[0] > 0
	}
	return true
}

// flushWait is longer than the second that appendfsync everysec takes.
const flushWait = 2 * time.Second

// replicasFor is how long an answer of Sentinels or Cluster holds.
const replicasFor = 10 * time.Second

// replicas is how many stand behind the server. Sentinels and Cluster know those that are down as well; a single server
// does not, so there one that was seen once is missed from then on.
func (s *Store) replicas(ctx context.Context, info redisconn.Info) (int, error) {
	connected, _ := strconv.Atoi(info["connected_slaves"])
	s.mu.Lock()
	if s.client.Single() {
		s.known, s.asked = max(s.known, connected), time.Now()
	}
	known, asked := s.known, s.asked
	s.mu.Unlock()
	if time.Since(asked) <= replicasFor {
		return max(known, connected), nil
	}
	known, err := s.client.Replicas(ctx, s.key("meta")) // not under the lock: Sentinels that are down take their time
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.known, s.asked = known, time.Now()
	s.mu.Unlock()
	return max(known, connected), nil
}
