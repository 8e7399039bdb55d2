package redisstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/audit"
)

// chunkRows is how many rows one call of the script takes: about half a millisecond, in which Redis serves nobody else.
const chunkRows = 250

var errNoWriter = errors.New("the audit store is open for reading only")

// Append implements audit.Store.
func (s *Store) Append(ctx context.Context, rows []audit.Row) error {
	if len(rows) == 0 {
		return nil
	}
	if s.opt.Writer == "" {
		return errNoWriter
	}
	if err := s.stillHas(ctx, rows[len(rows)-1].K); err != nil {
		return err
	}
	hasher, err := s.hasher(ctx)
	if err != nil {
		return err
	}
	last := rows[len(rows)-1].K
	for len(rows) > 0 {
		p := place{hourOf(rows[0].K), s.opt.Writer}
		n := 1
		for n < len(rows) && n < chunkRows && hourOf(rows[n].K) == p.hour {
			n++
		}
		if err := s.note(ctx, p); err != nil {
			return err
		}
		if err := s.appendChunk(ctx, hasher, p, rows[:n]); err != nil {
			return fmt.Errorf("write audit rows to Redis: %w", err)
		}
		rows = rows[n:]
	}
	if err := s.setLast(ctx, last); err != nil {
		return fmt.Errorf("write the audit's position to Redis: %w", err)
	}
	s.took(last)
	return nil
}

// stillHas is ErrLost where Redis has less than this process brought there: a replica took over that did not have all yet, or
// Redis crashed without a log, or was emptied. Nothing of that need show on the connection. Where Redis has more, another
// node was given a copy of this one's data_dir, and rows of the two are taken for the same. Rows until next are tried now.
func (s *Store) stillHas(ctx context.Context, next uint64) error {
	last, err := s.Last(ctx)
	if err != nil {
		return err
	}
	had, tried := s.took(last), s.tries(next)
	if last < had {
		s.wrote(place{}, 0)
		return audit.ErrLost
	}
	if had > 0 && last > tried && s.twin.CompareAndSwap(false, true) {
		s.opt.Logger.Error("another node writes its audit events under this one's name, and events of both are lost: its data_dir is a copy; stop it, delete the file node in it, and start it again", "node", s.opt.Writer)
	}
	return nil
}

// took notes the newest row that Redis has, and gives what it had before.
func (s *Store) took(last uint64) (had uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	had, s.has = s.has, last
	return had
}

// tries notes the newest row that this process brings, and gives what it was before: an answer may be lost, the row is not.
func (s *Store) tries(next uint64) (tried uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tried, s.tried = s.tried, max(s.tried, next)
	return tried
}

// Last implements audit.Store. It may be lower than what is there, never higher: rows that come again are left out by
// the script.
func (s *Store) Last(ctx context.Context) (uint64, error) {
	last, err := s.client.Get(ctx, s.lastKey()).Uint64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("ask Redis for the audit's position: %w", err)
	}
	return last, nil
}

// setLast writes what Last gives. It is kept a little longer than rows are, and for as long as the node runs (writeSize): each
// command that records, and each pod with a disk of its own, is a writer that does not come back.
func (s *Store) setLast(ctx context.Context, k uint64) error {
	return s.client.Set(ctx, s.lastKey(), k, s.lastKept()).Err()
}

func (s *Store) lastKey() string { return s.base + "last:" + s.opt.Writer }

func (s *Store) lastKept() time.Duration { return s.opt.Retention + time.Hour }

// note enters a place in the set of hours, before its rows, so that every reader finds it. It does so each time: a Redis
// that was emptied knows of no hour any more.
func (s *Store) note(ctx context.Context, p place) error {
	if err := s.client.ZAdd(ctx, s.base+"hours", redis.Z{Score: float64(p.hour), Member: p.String()}).Err(); err != nil {
		return fmt.Errorf("note an hour of the audit in Redis: %w", err)
	}
	return nil
}

// appendChunk sends rows of one hour. Those that are there already are left out.
func (s *Store) appendChunk(ctx context.Context, hasher audit.Hasher, p place, rows []audit.Row) error {
	for len(rows) > 0 {
		keys, args := s.call(hasher, p, rows)
		done, err := appendScript.Run(ctx, s.client, keys, args...).Text()
		if err != nil {
			return err
		}
		if done == "" {
			s.wrote(p, rows[len(rows)-1].K)
			return nil
		}
		if left, lost := strings.CutPrefix(done, "lost"); lost {
			return s.lost(ctx, p, left)
		}
		k, err := strconv.ParseUint(done, 16, 64)
		if err != nil {
			return fmt.Errorf("the position %q is none: %w", done, err)
		}
		for len(rows) > 0 && rows[0].K <= k {
			rows = rows[1:]
		}
	}
	return nil
}

// wrote notes the newest row of a place; expected gives it, where it was this process that wrote there last.
func (s *Store) wrote(p place, k uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest, s.newestK = p, k
}

func (s *Store) expected(p place) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest != p {
		return ""
	}
	return hex16(s.newestK)
}

// lost is ErrLost, of rows that went after this batch was begun: what is left of the hour ends with the key left.
func (s *Store) lost(ctx context.Context, p place, left string) error {
	end := firstK(p.hour) - 1
	if left != "" {
		k, err := strconv.ParseUint(left, 16, 64)
		if err != nil {
			return fmt.Errorf("the position %q is none: %w", left, err)
		}
		end = k
	}
	last, err := s.Last(ctx)
	if err == nil && last > end {
		err = s.setLast(ctx, end)
	}
	if err != nil {
		return err
	}
	s.wrote(place{}, 0)
	s.took(min(last, end))
	return audit.ErrLost
}

// call makes the script's keys and arguments.
func (s *Store) call(hasher audit.Hasher, p place, rows []audit.Row) ([]string, []any) {
	keys := []string{s.key(p, "p"), s.stream(p, classAllowed), s.stream(p, classOther), s.key(p, "c")}
	args := make([]any, 7, 7+3*len(rows)+64)
	var counts tally
	var buckets terms
	for _, row := range rows {
		o, err := hasher.Outline(row.Data)
		if err != nil {
			o = audit.Outline{} // kept as it is, found by time alone
		}
		class := classOther
		if o.Allowed {
			class = classAllowed
		}
		args = append(args, class, id(row.K), row.Data)
		counts.add(&o)
		buckets.add(row.K-firstK(p.hour), class, o.Hash)
	}
	for _, c := range counts.list {
		args = append(args, c.field, c.n)
	}
	for _, b := range buckets.used {
		keys = append(keys, s.bucket(p, uint32(b)))
		args = append(args, buckets.bytes[b])
	}
	args[0] = s.expiry(p.hour)
	args[1], args[2] = hex16(rows[0].K), hex16(rows[len(rows)-1].K)
	args[3], args[4], args[5], args[6] = len(rows), len(counts.list), len(buckets.used), s.expected(p)
	return keys, args
}

func hex16(k uint64) string { return fmt.Sprintf("%016x", k) }

func firstK(hour int64) uint64 { return uint64(hour*hourMillis) << audit.KeyBits }

// terms collects entries for the buckets. An entry is the hash, then the key within the hour and, in the lowest bit,
// the class.
type terms struct {
	bytes [256][]byte
	used  []byte
}

const entrySize = 12

func (t *terms) add(k uint64, class int, hashes [audit.Terms]uint32) {
	for _, h := range hashes {
		if h == 0 {
			continue
		}
		b := byte(h)
		if t.bytes[b] == nil {
			t.used = append(t.used, b)
		}
		t.bytes[b] = appendEntry(t.bytes[b], h, k, class)
	}
}

func appendEntry(dst []byte, hash uint32, k uint64, class int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, hash)
	return binary.LittleEndian.AppendUint64(dst, k<<1|uint64(class-classAllowed))
}

// tally counts rows for the hash of counters.
type tally struct {
	list  []counted
	index map[string]int
}

type counted struct {
	field string
	n     int64
}

func (t *tally) add(o *audit.Outline) {
	byReason, byIssuer, ok := o.ReadyKeys()
	if !ok {
		return
	}
	t.count(o.Millis, "reason", byReason)
	if len(byIssuer) > 0 {
		t.count(o.Millis, "issuer", byIssuer)
	}
}

func (t *tally) count(millis int64, by string, key []byte) {
	field := strconv.FormatInt(millis/audit.CountSpan.Milliseconds(), 10) + " " + by + " " + string(key)
	if t.index == nil {
		t.index = map[string]int{}
	}
	n, ok := t.index[field]
	if !ok {
		n = len(t.list)
		t.index[field] = n
		t.list = append(t.list, counted{field: field})
	}
	t.list[n].n++
}
