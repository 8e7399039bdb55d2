package redisstore

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/revocation"
)

const (
	// pageSize is how many entries one command of a snapshot reads: others wait for one that reads more.
	pageSize = 1000
	// inFlight is how many pages are asked for at once, so that a Redis that is far away is not waited for at each.
	inFlight = 8
)

// errNoEntry: the order holds something that is not an id with its entry.
var errNoEntry = errors.New("the order of revocations in Redis holds what is no entry")

// Snapshot implements revocation.Store. It all comes from one server.
//
// What is read is the order, by the numbers of the changes that made the entries: entries keep their number, so that what
// comes and goes meanwhile moves no other entry from one page to the next.
func (s *Store) Snapshot(ctx context.Context, yield func([]revocation.Entry) error) error {
	return s.once(ctx, func(conn *redis.Conn) error {
		entries, complete, err := s.extent(ctx, conn)
		if err != nil {
			return err
		}
		if !complete {
			return s.scan(ctx, conn, yield)
		}
		bounds, err := s.bounds(ctx, conn, entries)
		if err != nil {
			return err
		}
		err = s.readOrder(ctx, conn, bounds, yield)
		if errors.Is(err, errNoEntry) {
			return s.scan(ctx, conn, yield)
		}
		return err
	})
}

// extent counts the entries, and says whether the order has as many as the index: if not, somebody else took keys away.
func (s *Store) extent(ctx context.Context, conn *redis.Conn) (entries int, complete bool, err error) {
	counts, err := extentScript.Run(ctx, conn, []string{s.key("index"), s.key("order")}).Int64Slice()
	if err != nil {
		return 0, false, err
	}
	return int(counts[1]), counts[0] == counts[1], nil
}

// bounds are the numbers at which the pages begin, and where the last one ends. What is added later comes as a change.
func (s *Store) bounds(ctx context.Context, conn *redis.Conn, entries int) ([]string, error) {
	pipe := conn.Pipeline()
	var asked []*redis.ZSliceCmd
	for rank := 0; rank < entries; rank += pageSize {
		asked = append(asked, pipe.ZRangeWithScores(ctx, s.key("order"), int64(rank), int64(rank)))
	}
	last := pipe.ZRangeWithScores(ctx, s.key("order"), -1, -1)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	var bounds []string
	for _, a := range asked {
		for _, z := range a.Val() {
			bounds = append(bounds, score(z.Score))
		}
	}
	for _, z := range last.Val() {
		bounds = append(bounds, score(z.Score+1))
	}
	return bounds, nil
}

func (s *Store) readOrder(ctx context.Context, conn *redis.Conn, bounds []string, yield func([]revocation.Entry) error) error {
	for len(bounds) > 1 {
		n := min(inFlight+1, len(bounds))
		if err := s.readPages(ctx, conn, bounds[:n], yield); err != nil {
			return err
		}
		bounds = bounds[n-1:] // where the last page ended the next one begins
	}
	return nil
}

// readPages reads from each bound up to the next.
func (s *Store) readPages(ctx context.Context, conn *redis.Conn, bounds []string, yield func([]revocation.Entry) error) error {
	pipe := conn.Pipeline()
	var pages []*redis.StringSliceCmd
	for n, from := range bounds[:len(bounds)-1] {
		pages = append(pages, pipe.ZRangeByScore(ctx, s.key("order"), &redis.ZRangeBy{Min: from, Max: "(" + bounds[n+1]}))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	found := make([]revocation.Entry, 0, pageSize)
	for _, page := range pages {
		found = found[:0]
		for _, member := range page.Val() {
			id := idOf(member)
			e, err := unpack(keyOf(id), member[len(id):])
			if err != nil {
				return errNoEntry
			}
			found = append(found, e)
		}
		if err := yield(found); err != nil {
			return err
		}
	}
	return nil
}

// scan reads the index itself. All steps go to one server: a cursor means nothing to another.
func (s *Store) scan(ctx context.Context, conn *redis.Conn, yield func([]revocation.Entry) error) error {
	var found []revocation.Entry
	for cursor := uint64(0); ; {
		pairs, next, err := conn.HScan(ctx, s.key("index"), cursor, "", pageSize).Result()
		if err != nil {
			return err
		}
		found = found[:0]
		for i := 0; i+1 < len(pairs); i += 2 {
			e, err := unpack(keyOf(pairs[i]), pairs[i+1])
			if err != nil {
				return err
			}
			found = append(found, e)
		}
		if err := yield(found); err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}
