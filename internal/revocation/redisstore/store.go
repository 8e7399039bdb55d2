// Package redisstore keeps a fleet's revocations and replay marks in Redis: one server, a master behind Sentinels, or a
// Cluster.
//
// All that belongs to revocations lies under one hash tag, so that one script changes all of it at once:
//
//	index    hash    id → selector, issued_before, expires_at: one entry
//	detail   hash    id → the rest, as JSON
//	expiry   set     ids by when they go (Redis 7 has no expiry per field)
//	order    set     entries with their ids, by the number of the change that made them: the order of lists, and what a
//	                 node reads that starts, since Redis walks a sorted set five times as fast as a large hash
//	lifted   set     ids by when they were lifted: not to be put back
//	meta     hash    epoch, secret, seq, tag, and format where it is not the first
//	changes  stream  <seq>-0 → the change; seq is dense, so that a gap is seen
//	beats    stream  heartbeats, to time the way
//
// Replay marks are keys of their own and expire by themselves.
package redisstore

import (
	"cmp"
	"context"
	"embed"
	"encoding/hex"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation"
)

//go:embed script/*.lua
var scripts embed.FS

func script(parts ...string) *redis.Script {
	var whole []byte
	for _, part := range parts {
		text, err := scripts.ReadFile("script/" + part + ".lua")
		if err != nil {
			panic(err) // embedded above
		}
		whole = append(whole, text...)
	}
	return redis.NewScript(string(whole))
}

var (
	revokeScript = script("format", "revoke")
	liftScript   = script("format", "lift")
	stateScript  = script("format", "state")
	extentScript = script("extent")
	claimScript  = script("claim")
)

// Options tunes a store. The zero value is right outside tests.
type Options struct {
	// KeepChanges is about how many changes are kept for those who follow; 0 is 100,000.
	KeepChanges int
	Now         func() time.Time
	// ReplicaWait is how long a write waits for a replica before it is answered as not replicated; 0 is a second.
	ReplicaWait time.Duration
}

// Store is a revocation.Store in Redis.
type Store struct {
	client *redisconn.Client
	opt    Options
	base   string // what the keys of revocations begin with

	mu    sync.Mutex
	known int       // replicas, as of asked
	asked time.Time // when the topology was asked
	beat  string    // the last heartbeat read
}

var _ revocation.Store = (*Store)(nil)

// Open uses a client, which stays the caller's to close.
func Open(client *redisconn.Client, opt Options) *Store {
	opt.KeepChanges = cmp.Or(opt.KeepChanges, 100_000)
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.ReplicaWait = cmp.Or(opt.ReplicaWait, time.Second)
	return &Store{client: client, opt: opt, base: client.Prefix + "{revocation}:", beat: "0"}
}

// Close does nothing: the client is shared with others.
func (s *Store) Close() error { return nil }

func (s *Store) key(name string) string { return s.base + name }

// written are the keys that the writing scripts take.
func (s *Store) written() []string {
	return []string{s.key("index"), s.key("detail"), s.key("expiry"), s.key("order"), s.key("lifted"), s.key("meta"), s.key("changes")}
}

// Info is what the server that keeps the revocations says of itself; it is changed in nothing.
func (s *Store) Info(ctx context.Context) (info redisconn.Info, err error) {
	err = s.once(ctx, func(conn *redis.Conn) error {
		pipe := conn.Pipeline()
		format, said := pipe.HMGet(ctx, s.key("meta"), "format"), pipe.Info(ctx)
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		info = redisconn.ParseInfo(said.Val())
		return s.checkFormat(format)
	})
	return info, err
}

// Lookup implements revocation.Store.
func (s *Store) Lookup(ctx context.Context, keys []revocation.Key) ([]revocation.Entry, error) {
	ids := make([]string, len(keys))
	for i := range keys {
		ids[i] = string(keys[i][:])
	}
	pipe := s.client.Pipeline()
	format, values := pipe.HMGet(ctx, s.key("meta"), "format"), pipe.HMGet(ctx, s.key("index"), ids...)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	if err := s.checkFormat(format); err != nil {
		return nil, err
	}
	var found []revocation.Entry
	for i, v := range values.Val() {
		packed, there := v.(string)
		if !there {
			continue
		}
		e, err := unpack(keys[i], packed)
		if err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, nil
}

// Claim implements revocation.Store. Redis is told how long the mark lasts, and not until when: by its clock, which is
// another one, that might be over.
func (s *Store) Claim(ctx context.Context, m revocation.Mark) (revocation.Claim, error) {
	lasts := int64(0)
	if !m.Until.IsZero() {
		lasts = max(1, m.Until.Sub(s.opt.Now()).Milliseconds())
	}
	key := s.client.Prefix + "replay:" + hex.EncodeToString(m.Key[:])
	answer, err := claimScript.Run(ctx, s.client, []string{key}, m.Owner, m.Resumes, lasts).Slice()
	if err != nil {
		return revocation.Claim{}, err
	}
	at, now := number(answer[2]), number(answer[3])
	return revocation.Claim{
		First: number(answer[0]) == 1, Owner: text(answer[1]),
		At: time.UnixMilli(at).UTC(), Age: (time.Duration(now-at) * time.Millisecond).Abs(),
	}, nil
}
