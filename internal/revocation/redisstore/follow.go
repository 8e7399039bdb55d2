package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/redisconn"
	"github.com/usher-im/usher/internal/revocation"
)

// State implements revocation.Store.
func (s *Store) State(ctx context.Context, offer revocation.Identity, beat string) (revocation.State, error) {
	var st revocation.State
	err := s.once(ctx, func(conn *redis.Conn) error {
		keys := s.written()[:6]
		answer, err := stateScript.Run(ctx, conn, append(keys, s.key("beats")),
			offer.Epoch, string(offer.Secret[:]), beat, revocation.ExpiredFor.Milliseconds(), revocation.LiftedFor.Milliseconds()).Slice()
		if err != nil {
			return err
		}
		said, err := conn.Info(ctx).Result()
		if err != nil {
			return fmt.Errorf("ask Redis where it stands (the ACL user needs +info): %w", err)
		}
		info := redisconn.ParseInfo(said)
		// A process that was demoted and made master again has the history of whoever was master meanwhile.
		st = revocation.State{Run: info["run_id"] + info["master_replid"], Seq: uint64(number(answer[2])), Tag: text(answer[3]), Entries: int(number(answer[4]))}
		st.Epoch = text(answer[0])
		copy(st.Secret[:], text(answer[1]))
		st.Durable = info.Durable()
		st.Evicts = info.Evicts()
		st.Replicas, _ = strconv.Atoi(info["connected_slaves"])
		return nil
	})
	if err != nil {
		s.client.Moved(ctx)
	}
	return st, err
}

const (
	// most is how many changes one answer holds.
	most = 1000
	// silence is how long a server may be silent that should have answered. The driver gives one that is asked to wait ten
	// seconds more: a node would follow a new master no sooner, though it has heard of it, and stop no sooner.
	silence = 3 * time.Second
)

// Changes implements revocation.Store. Heartbeats come along where changes are waited for.
func (s *Store) Changes(ctx context.Context, after uint64, wait time.Duration) ([]revocation.Change, error) {
	from := strconv.FormatUint(after, 10) + "-0"
	read := &redis.XReadArgs{Streams: []string{s.key("changes"), from}, Count: most, Block: -1}
	if wait > 0 {
		read.Streams = []string{s.key("changes"), s.key("beats"), from, s.lastBeat("")}
		read.Block = wait
	}
	ctx, cancel := context.WithTimeout(ctx, wait+silence)
	defer cancel()
	streams, err := s.client.XRead(ctx, read).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		s.client.Moved(ctx)
		return nil, err
	}
	var found []revocation.Change
	for _, stream := range streams {
		for _, m := range stream.Messages {
			if stream.Stream == s.key("beats") {
				s.lastBeat(m.ID)
				found = append(found, revocation.Change{Beat: text(m.Values["b"])})
				continue
			}
			c, err := change(m)
			if err != nil {
				return nil, err
			}
			found = append(found, c)
		}
	}
	return found, nil
}

// lastBeat notes the last heartbeat read, and gives it.
func (s *Store) lastBeat(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id != "" {
		s.beat = id
	}
	return s.beat
}

// A change is packed as: + or -, the tag (8 bytes), the id (16), the entry.
func change(m redis.XMessage) (revocation.Change, error) {
	number, _, _ := strings.Cut(m.ID, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	packed := text(m.Values["c"])
	if err != nil || len(packed) != 1+8+16+packedSize {
		return revocation.Change{}, fmt.Errorf("the change %s in Redis is not one that usher wrote: another program writes below usher's prefix", m.ID)
	}
	c := revocation.Change{Seq: seq, Tag: packed[1:9], Lifted: packed[0] == '-', Actor: text(m.Values["a"])}
	if c.Entry, err = unpack(keyOf(packed[9:25]), packed[25:]); err != nil || c.Lifted {
		return c, err
	}
	r, err := whole(c.Entry, text(m.Values["d"]))
	if err != nil {
		return c, err
	}
	c.Revocation = &r
	return c, nil
}
