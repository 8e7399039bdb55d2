package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/usher-im/usher/internal/revocation"
)

// chunk bounds one script, so that others are not kept waiting.
const chunk = 500

func newTag() string { return rand.Text()[:8] }

// Revoke implements revocation.Store.
func (s *Store) Revoke(ctx context.Context, rs []revocation.Revocation) (revocation.Written, error) {
	var written revocation.Written
	err := s.write(ctx, func(conn *redis.Conn, again bool) (err error) {
		written, err = s.revoke(ctx, conn, rs, again)
		return err
	})
	return written, err
}

func (s *Store) revoke(ctx context.Context, conn *redis.Conn, rs []revocation.Revocation, again bool) (w revocation.Written, err error) {
	for rest := rs; len(rest) > 0; {
		part := rest[:min(len(rest), chunk)]
		rest = rest[len(part):]
		answer, err := s.runRevoke(ctx, conn, part, nil)
		if err != nil {
			return w, err
		}
		w.Seq = uint64(number(answer[0]))
		for i, r := range part {
			o, err := outcome(r, answer[1+4*i:])
			if err != nil {
				return w, err
			}
			// A write that was repeated after its answer was lost finds its own work.
			o.New = o.New || again && o.Revocation.CreatedAt.Equal(r.CreatedAt) && o.Revocation.Actor == r.Actor
			o.Seq = w.Seq
			w.Outcomes = append(w.Outcomes, o)
		}
	}
	w.Replicated = s.safe(ctx, conn)
	return w, nil
}

func outcome(r revocation.Revocation, answer []any) (revocation.Outcome, error) {
	e := revocation.Entry{Key: r.Key(), Selector: r.Selector, IssuedBefore: number(answer[1]), ExpiresAt: number(answer[2])}
	now, err := whole(e, text(answer[3]))
	return revocation.Outcome{Revocation: now, New: number(answer[0]) == 1}, err
}

// runRevoke writes one part. What is restored is as lost says, and nobody made it just now.
func (s *Store) runRevoke(ctx context.Context, conn *redis.Conn, rs []revocation.Revocation, lost []revocation.Lost) ([]any, error) {
	mode := "0"
	if lost != nil {
		mode = "1"
	}
	args := []any{newTag(), s.opt.KeepChanges, mode}
	for i, r := range rs {
		e := r.Entry()
		text, err := detailOf(r)
		if err != nil {
			return nil, err
		}
		actor, made := r.Actor, r.CreatedAt.UnixMilli()
		if lost != nil {
			actor, made = "", lost[i].MadeAt()
		}
		args = append(args, string(e.Key[:]), e.Selector.Code(), e.IssuedBefore, e.ExpiresAt, text, actor, made)
	}
	answer, err := revokeScript.Run(ctx, conn, s.written(), args...).Slice()
	if err == nil && len(answer) != 1+4*len(rs) {
		err = fmt.Errorf("redis answered %d values to a write of %d revocations", len(answer), len(rs))
	}
	return answer, err
}

// Lift implements revocation.Store. A lift that was repeated after its answer was lost finds its own work, and what it took
// back is not there any more: that is read before.
func (s *Store) Lift(ctx context.Context, id revocation.Key, actor string) (revocation.Revocation, revocation.Written, error) {
	var standing []revocation.Revocation
	var written revocation.Written
	err := s.write(ctx, func(conn *redis.Conn, _ bool) (err error) {
		again := "1"
		if len(standing) == 0 {
			again = "0"
			if standing, err = s.get(ctx, conn.Pipeline(), []string{string(id[:])}); err != nil {
				return err
			}
		}
		answer, err := liftScript.Run(ctx, conn, s.written(), newTag(), s.opt.KeepChanges, string(id[:]), actor, again).Slice()
		if errors.Is(err, redis.Nil) {
			return revocation.ErrNotFound
		}
		if err != nil {
			return err
		}
		if len(answer) > 1 {
			e := revocation.Entry{Key: id, Selector: revocation.SelectorOf(int(number(answer[1]))), IssuedBefore: number(answer[2]), ExpiresAt: number(answer[3])}
			r, err := whole(e, text(answer[4]))
			if err != nil {
				return err
			}
			standing = []revocation.Revocation{r}
		}
		written.Seq = uint64(number(answer[0]))
		written.Replicated = s.safe(ctx, conn)
		return nil
	})
	if err != nil {
		return revocation.Revocation{}, revocation.Written{}, err
	}
	return standing[0], written, nil
}

// Restore implements revocation.Store.
func (s *Store) Restore(ctx context.Context, lost []revocation.Lost) (restored int, err error) {
	now := s.opt.Now()
	err = s.write(ctx, func(conn *redis.Conn, _ bool) error {
		for rest := lost; len(rest) > 0; {
			part := rest[:min(len(rest), chunk)]
			rest = rest[len(part):]
			rs := make([]revocation.Revocation, len(part))
			for i := range part {
				rs[i] = part[i].Revived(now)
			}
			answer, err := s.runRevoke(ctx, conn, rs, part)
			if err != nil {
				return err
			}
			for i := range rs {
				restored += int(number(answer[1+4*i]))
			}
		}
		return nil
	})
	return restored, err
}
