package redisstore

import (
	"context"
	"errors"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/revocation"
)

// Get implements revocation.Store.
func (s *Store) Get(ctx context.Context, id revocation.Key) (revocation.Revocation, error) {
	found, err := s.get(ctx, s.client.Pipeline(), []string{string(id[:])})
	if err == nil && len(found) == 0 {
		err = revocation.ErrNotFound
	}
	if err != nil {
		return revocation.Revocation{}, err
	}
	return found[0], nil
}

// get reads those of the ids that stand, in their order.
func (s *Store) get(ctx context.Context, pipe redis.Pipeliner, ids []string) ([]revocation.Revocation, error) {
	format := pipe.HMGet(ctx, s.key("meta"), "format")
	index, details := pipe.HMGet(ctx, s.key("index"), ids...), pipe.HMGet(ctx, s.key("detail"), ids...)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	if err := s.checkFormat(format); err != nil {
		return nil, err
	}
	now := s.opt.Now().UnixMilli()
	var found []revocation.Revocation
	for i, id := range ids {
		packed, there := index.Val()[i].(string)
		more, explained := details.Val()[i].(string)
		if !there || !explained {
			continue
		}
		e, err := unpack(keyOf(id), packed)
		if err != nil {
			return nil, err
		}
		if e.ExpiresAt != 0 && e.ExpiresAt <= now {
			continue
		}
		r, err := whole(e, more)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, nil
}

// listOne is a list of what has a known id: to look for it among a million takes longer than anybody waits.
func (s *Store) listOne(ctx context.Context, q revocation.Query, id revocation.Key) (page revocation.Page, err error) {
	r, err := s.Get(ctx, id)
	if errors.Is(err, revocation.ErrNotFound) {
		return page, nil
	}
	if err == nil && q.Selects(r) {
		page.Items = append(page.Items, r)
	}
	return page, err
}

// scanned is how many rows one step of a filtered list reads.
const scanned = 500

// List implements revocation.Store. A cursor is the number of the change that made the last row of the page before.
func (s *Store) List(ctx context.Context, q revocation.Query) (revocation.Page, error) {
	if id, one := q.Names(); one && q.Cursor == "" {
		return s.listOne(ctx, q, id)
	}
	below := "+inf"
	if q.Cursor != "" {
		seq, err := strconv.ParseUint(q.Cursor, 10, 53)
		if err != nil {
			return revocation.Page{}, revocation.ErrCursor
		}
		below = "(" + strconv.FormatUint(seq, 10)
	}
	var page revocation.Page
	var last string
	for {
		rows, err := s.client.ZRevRangeByScoreWithScores(ctx, s.key("order"), &redis.ZRangeBy{Max: below, Min: "-inf", Count: scanned}).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return revocation.Page{}, err
		}
		if len(rows) == 0 { // or another format has them elsewhere
			return page, s.checkFormat(s.client.HMGet(ctx, s.key("meta"), "format"))
		}
		seqs := map[string]string{}
		ids := make([]string, len(rows))
		for i, z := range rows {
			ids[i] = idOf(z.Member.(string))
			below = "(" + score(z.Score)
			seqs[keyOf(ids[i]).String()] = below[1:]
		}
		found, err := s.get(ctx, s.client.Pipeline(), ids)
		if err != nil {
			return revocation.Page{}, err
		}
		for _, r := range found {
			if !q.Selects(r) {
				continue
			}
			if len(page.Items) == q.Bound() {
				page.Next = last
				return page, nil
			}
			page.Items, last = append(page.Items, r), seqs[r.ID]
		}
	}
}
