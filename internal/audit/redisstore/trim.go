package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/config"
)

// trimmer keeps the audit in Redis within its bounds. Every node does it; two at once do no harm.
func (s *Store) trimmer(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.trim(ctx); err != nil && ctx.Err() == nil {
			s.opt.Logger.Warn(fmt.Sprintf("the audit in Redis is not trimmed: %v; trying again in a minute", err))
		}
	}
}

// part is what one node wrote in one hour, in bytes.
type part struct {
	place
	allowed, other int64
}

// trim forgets hours that are past retention, writes down how much this node has written, and deletes the oldest hours
// where all together are too much.
func (s *Store) trim(ctx context.Context) error {
	if err := s.forgetPast(ctx); err != nil {
		return err
	}
	// A Redis that is full takes no write, not even a number. It still deletes, which is what makes room again, also for the
	// revocations beside us.
	unwritten := s.writeSize(ctx)
	if s.opt.MaxSize == 0 {
		return unwritten
	}
	parts, err := s.sizes(ctx)
	if err != nil {
		return cmp.Or(err, unwritten)
	}
	past, left := tooMuch(parts, s.opt.MaxSize)
	if left > s.opt.MaxSize {
		s.opt.Logger.Warn(fmt.Sprintf("the hour of the audit that is being written takes %s of Redis, more than audit.max_size, and none of it goes before it is over: see who floods (usher audit stats --by ip), and that Redis' maxmemory has room", config.Size(left)))
	}
	for _, gone := range past {
		if err := s.drop(ctx, gone); err != nil {
			return cmp.Or(err, unwritten)
		}
		if err := s.writeRest(ctx, gone); unwritten == nil {
			unwritten = err
		}
	}
	return unwritten
}

// forgetPast deletes what is past retention. As a rule it has expired by itself; where retention was longer when it was
// written it has not, and no question would ever reach it again. Redis' own clock says what is past: one node whose clock
// is ahead would delete what all of them wrote.
func (s *Store) forgetPast(ctx context.Context) error {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("ask Redis for the time: %w", err)
	}
	border := now.Add(-s.opt.Retention).UnixMilli()/hourMillis - 1
	past, err := s.places(ctx, 0, border)
	for _, p := range past {
		if err := s.drop(ctx, doomed{part: part{place: p}, all: true}); err != nil {
			return err
		}
		if err := s.client.Unlink(ctx, s.key(p, "p")).Err(); err != nil {
			return err
		}
	}
	return err
}

// writeSize tells the others how much this node wrote in the hour that it writes and the one before, and that it runs.
func (s *Store) writeSize(ctx context.Context) error {
	last, err := s.Last(ctx)
	if err != nil || last == 0 {
		return err
	}
	if err := s.client.Expire(ctx, s.lastKey(), s.lastKept()).Err(); err != nil {
		return err
	}
	return cmp.Or(s.writeSizeOf(ctx, place{hourOf(last) - 1, s.opt.Writer}), s.writeSizeOf(ctx, place{hourOf(last), s.opt.Writer}))
}

func (s *Store) writeSizeOf(ctx context.Context, p place) error {
	values, err := s.client.HMGet(ctx, s.key(p, "p"), "a", "d").Result()
	if err != nil || values[0] == nil || values[1] == nil {
		return err
	}
	return s.client.HSet(ctx, s.base+"sizes", p.String(), fmt.Sprint(values[0], " ", values[1])).Err()
}

func (s *Store) sizes(ctx context.Context) ([]part, error) {
	fields, err := s.client.HGetAll(ctx, s.base+"sizes").Result()
	if err != nil {
		return nil, err
	}
	var parts []part
	for name, text := range fields {
		p, ok := parsePlace(name)
		if !ok {
			continue
		}
		sized := part{place: p}
		if _, err := fmt.Sscan(text, &sized.allowed, &sized.other); err == nil {
			parts = append(parts, sized)
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Or(cmp.Compare(a.hour, b.hour), cmp.Compare(a.writer, b.writer)) })
	return parts, nil
}

// doomed is a part of which the allowed rows are deleted, or everything.
type doomed struct {
	part
	all bool
}

// tooMuch chooses what is to go, oldest first: allowed rows as long as they take more than half, since the rest is what
// questions are about; then whole hours. The newest hour stays, and with it what is left.
func tooMuch(parts []part, limit int64) (gone []doomed, left int64) {
	var allowed, other int64
	for _, p := range parts {
		allowed, other = allowed+p.allowed, other+p.other
	}
	var a, d int // the next part to lose its allowed rows, and everything
	for allowed+other > limit {
		switch {
		case allowed > limit/2 && a < len(parts) && parts[a].hour < parts[len(parts)-1].hour:
			if parts[a].allowed > 0 {
				allowed -= parts[a].allowed
				gone = append(gone, doomed{part: parts[a]})
				parts[a].allowed = 0
			}
			a++
		case d < len(parts) && parts[d].hour < parts[len(parts)-1].hour:
			allowed, other = allowed-parts[d].allowed, other-parts[d].other
			gone = append(gone, doomed{parts[d], true})
			parts[d].allowed = 0
			d++
		default:
			return gone, allowed + other
		}
	}
	return gone, allowed + other
}

// positionKept is how long the position of an hour outlives its rows: a node that still writes there, since its clock is
// behind or its events had to wait, would take them for lost and bring them again.
const positionKept = 24 * time.Hour

func (s *Store) drop(ctx context.Context, gone doomed) error {
	keys := []string{s.stream(gone.place, classAllowed)}
	if gone.all {
		keys = append(keys, s.stream(gone.place, classOther), s.key(gone.place, "c"))
		for b := range 256 {
			keys = append(keys, s.bucket(gone.place, uint32(b)))
		}
	}
	if err := s.client.Unlink(ctx, keys...).Err(); err != nil {
		return err
	}
	if !gone.all {
		return nil
	}
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		position := s.key(gone.place, "p")
		p.HDel(ctx, position, "a", "d")
		p.Expire(ctx, position, positionKept)
		p.ZRem(ctx, s.base+"hours", gone.place.String())
		p.HDel(ctx, s.base+"sizes", gone.place.String())
		return nil
	})
	return err
}

// writeRest gives a part that has lost its allowed rows the size of the rest. Its own node writes its size again only for
// the newest two hours. What cannot be written is dropped once more by the next trimming, which does no harm.
func (s *Store) writeRest(ctx context.Context, gone doomed) error {
	if gone.all {
		return nil
	}
	return s.client.HSet(ctx, s.base+"sizes", gone.place.String(), "0 "+strconv.FormatInt(gone.other, 10)).Err()
}
