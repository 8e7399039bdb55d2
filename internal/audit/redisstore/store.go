// Package redisstore keeps the audit of a fleet in Redis, so that one question to any node answers for all.
//
// What one node writes in one hour lies under one hash tag, so that a script takes a batch whole, and a Cluster spreads
// hours and nodes over its servers:
//
//	{node|hour}:p   hash    position: the last key, and how many bytes were written
//	{node|hour}:a   stream  allowed decisions, by their keys, one packed field
//	{node|hour}:d   stream  everything else
//	{node|hour}:c   hash    counts by five minutes and reason or issuer
//	{node|hour}:00… strings 256 buckets of search terms, 12 bytes for each term of a row
//	hours           set     which nodes wrote in which hour
//	sizes           hash    bytes of each node and hour
//	last:node       string  the node's newest key
//	seed            string  keys the hashes of search terms, 8 bytes. An usher that lays any of this out in another way, or packs
//	                        rows so, makes it longer: every node that does not know that leaves all of it alone
//
// All but hours, sizes and the seed expire by themselves. Measured against the choices: scanning a million rows takes up
// to five seconds, a sorted set for each value 500 bytes an event, filters in Lua stop Redis for everybody.
package redisstore

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/redisconn"
)

var (
	//go:embed script/append.lua
	appendText string
	//go:embed script/rewrite.lua
	rewriteText string
	//go:embed script/forget.lua
	forgetText string

	appendScript  = redis.NewScript(appendText)
	rewriteScript = redis.NewScript(rewriteText)
	forgetScript  = redis.NewScript(forgetText)
)

// Options sets up a Store.
type Options struct {
	// Writer names this node's rows. No two nodes may share it, and a node must keep it: rows that are sent again after a
	// crash are known by it. Without one nothing can be written.
	Writer string
	// Retention is how long events are kept, MaxSize about how many bytes all of them may take; 0 means no bound.
	Retention time.Duration
	MaxSize   int64
	Logger    *slog.Logger
	Now       func() time.Time
}

// Store is an audit.Store in Redis.
type Store struct {
	client *redisconn.Client
	opt    Options
	base   string

	mu     sync.Mutex
	seed   audit.Hasher
	seeded bool
	has    uint64 // the newest row that this process brought, or found
	tried  uint64 // the newest row that it tried to bring

	twin atomic.Bool // that another process writes as this node was said

	newest  place // where this process wrote last, and its newest row there
	newestK uint64

	stop context.CancelFunc
	work sync.WaitGroup
}

var _ audit.Store = (*Store)(nil)

// noRetention is the expiry where none is configured: keys without any would stay when nobody reads them.
const noRetention = 10 * 365 * 24 * time.Hour

// Open uses a client, which stays the caller's to close. It does not wait for Redis.
func Open(client *redisconn.Client, opt Options) *Store {
	opt.Logger = cmp.Or(opt.Logger, slog.Default())
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.Retention = cmp.Or(opt.Retention, noRetention)
	s := &Store{client: client, opt: opt, base: client.Prefix + "audit:"}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if opt.Writer != "" {
		s.work.Go(func() { s.trimmer(ctx) })
	}
	return s
}

// Close ends what the store does by itself.
func (s *Store) Close() error {
	s.stop()
	s.work.Wait()
	return nil
}

// place is what one node wrote in one hour.
type place struct {
	hour   int64 // Unix hours
	writer string
}

const hourMillis = 3_600_000

func hourOf(k uint64) int64 { return audit.MillisOf(k) / hourMillis }

func (p place) String() string { return strconv.FormatInt(p.hour, 10) + "|" + p.writer }

func parsePlace(text string) (place, bool) {
	hour, writer, ok := strings.Cut(text, "|")
	n, err := strconv.ParseInt(hour, 10, 64)
	return place{n, writer}, ok && err == nil
}

// Classes of rows, in the order of append.lua.
const (
	classAllowed = 1
	classOther   = 2
)

var classes = [...]string{classAllowed: "a", classOther: "d"}

func (s *Store) key(p place, what string) string {
	return s.base + "{" + p.writer + "|" + strconv.FormatInt(p.hour, 10) + "}:" + what
}

func (s *Store) stream(p place, class int) string { return s.key(p, classes[class]) }

func (s *Store) bucket(p place, hash uint32) string { return s.key(p, fmt.Sprintf("%02x", byte(hash))) }

// id is how a stream names a key.
func id(k uint64) string {
	return strconv.FormatInt(audit.MillisOf(k), 10) + "-" + strconv.FormatUint(k&(1<<audit.KeyBits-1), 10)
}

func keyOf(id string) uint64 {
	ms, seq, _ := strings.Cut(id, "-")
	m, _ := strconv.ParseUint(ms, 10, 64)
	n, _ := strconv.ParseUint(seq, 10, 64)
	return m<<audit.KeyBits | n
}

// hasher is the fleet's; whoever comes first makes it. It is asked for each time, and put back into a Redis that was emptied:
// what is hashed by one seed is not found by another.
func (s *Store) hasher(ctx context.Context) (audit.Hasher, error) {
	key := s.base + "seed"
	s.mu.Lock()
	mine, seeded := s.seed, s.seeded
	s.mu.Unlock()
	var own [8]byte
	if binary.LittleEndian.PutUint64(own[:], uint64(mine)); !seeded {
		_, _ = rand.Read(own[:]) // never fails, see crypto/rand
	}
	seed, err := s.client.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) { // written only then: a Redis that is full answers questions still
		if err := s.client.SetNX(ctx, key, own[:], 0).Err(); err != nil {
			return 0, fmt.Errorf("give Redis the audit's seed: %w", err)
		}
		seed, err = s.client.Get(ctx, key).Bytes()
	}
	if err == nil && len(seed) != len(own) {
		err = fmt.Errorf("%s has %d bytes and not %d: a newer usher keeps its audit there in another way, run that version here too; or another program writes below usher's prefix", key, len(seed), len(own))
	}
	if err != nil {
		return 0, fmt.Errorf("ask Redis for the audit's seed: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seed, s.seeded = audit.Hasher(binary.LittleEndian.Uint64(seed)), true
	return s.seed, nil
}

// newestHour is the last hour in which anybody wrote.
func (s *Store) newestHour(ctx context.Context) (int64, error) {
	newest, err := s.client.ZRevRangeWithScores(ctx, s.base+"hours", 0, 0).Result()
	if err != nil {
		return 0, fmt.Errorf("ask Redis for the audit's hours: %w", err)
	}
	if len(newest) == 0 {
		return hourOf(audit.FirstK(s.opt.Now())), nil
	}
	return int64(newest[0].Score), nil
}

// places lists who wrote in which of some hours, the newest first.
func (s *Store) places(ctx context.Context, from, to int64) ([]place, error) {
	members, err := s.client.ZRangeArgs(ctx, redis.ZRangeArgs{Key: s.base + "hours", Start: to, Stop: from, ByScore: true, Rev: true}).Result()
	if err != nil {
		return nil, fmt.Errorf("ask Redis for the audit's hours: %w", err)
	}
	places := make([]place, 0, len(members))
	for _, m := range members {
		if p, ok := parsePlace(m); ok {
			places = append(places, p)
		}
	}
	return places, nil
}
