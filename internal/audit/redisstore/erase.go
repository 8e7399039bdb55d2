package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/audit"
)

// copyRows is how many rows one call copies when a stream is written anew.
const copyRows = 500

// Erase implements audit.Store. Streams that have rows of the user are written anew without them.
func (s *Store) Erase(ctx context.Context, user string) (int64, error) {
	if s.opt.Writer == "" {
		return 0, errNoWriter
	}
	f, err := s.search(ctx, audit.Query{User: user})
	if err != nil {
		return 0, err
	}
	f.end = f.end.AddDate(1, 0, 0) // to the end, however long it takes
	ids := map[spot][]any{}        // the rows of each stream
	entries := map[string][]any{}  // what buckets say of them
	hours := map[string]int64{}
	var total int64
	err = f.walk(ctx, func(at spot, e audit.Event) bool {
		total++
		stream := spot{place: at.place, class: at.class}
		ids[stream] = append(ids[stream], id(at.k))
		o, err := f.hasher.Outline(audit.Pack(nil, &e))
		if err != nil {
			return true
		}
		for _, h := range o.Hash {
			if h != 0 {
				bucket := s.bucket(at.place, h)
				hours[bucket] = at.hour
				entries[bucket] = append(entries[bucket], appendEntry(nil, h, at.k-firstK(at.hour), at.class))
			}
		}
		return true
	}, func(spot) {})
	if err != nil {
		return 0, err
	}
	for stream, gone := range ids {
		if err := s.rewrite(ctx, stream, gone); err != nil {
			return 0, err
		}
	}
	for bucket, gone := range entries {
		if err := forgetScript.Run(ctx, s.client, []string{bucket}, append([]any{s.expiry(hours[bucket])}, gone...)...).Err(); err != nil {
			return 0, fmt.Errorf("erase from the audit's index in Redis: %w", err)
		}
	}
	return total, nil
}

func (s *Store) expiry(hour int64) int64 { return (hour+1)*3600 + int64(s.opt.Retention.Seconds()) }

// rewrite copies a stream without some of its rows and puts the copy in its place. It waits while another erasure does.
func (s *Store) rewrite(ctx context.Context, stream spot, gone []any) error {
	key := s.stream(stream.place, stream.class)
	keys := []string{key, key + ":new", key + ":by"}
	const begin = "0"
	owner, after := rand.Text(), begin
	for {
		args := append([]any{after, copyRows, s.expiry(stream.hour), owner}, gone...)
		next, err := rewriteScript.Run(ctx, s.client, keys, args...).Text()
		switch {
		case errors.Is(err, redis.Nil):
			return nil
		case err == nil && next == "busy":
			err, after = pause(ctx), begin
		default:
			after = next
		}
		if err != nil {
			return fmt.Errorf("erase from the audit in Redis: %w", err)
		}
	}
}

// pause is how long one erasure waits for another before it asks again.
func pause(ctx context.Context) error {
	select {
	case <-time.After(50 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
