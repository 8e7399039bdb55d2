package sqlitestore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/usher-im/usher/internal/audit"
)

// janitor deletes what is too old or too much, and closes what nobody has asked for lately.
func (s *Store) janitor(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	var clock evenness
	for {
		even := clock.lasts(s.opt.Now(), time.Now())
		if !s.opt.ReadOnly {
			if err := s.retain(even); err != nil {
				s.opt.Logger.Warn(fmt.Sprintf("old audit files cannot be deleted: %v", err))
			}
		}
		s.closeIdle()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// evenness is whether the clock can be believed. Where it jumps ahead, everything looks old at once: nothing is deleted
// for its age before the clock has run evenly for a while, which is also the time to set it right after a start.
type evenness struct {
	clock   time.Time
	running time.Time // by the clock that nobody sets
	since   time.Time
}

const (
	evenFor  = time.Hour
	jumpMost = time.Minute
)

// lasts takes what the clock says, and says whether it has run evenly for long enough.
func (e *evenness) lasts(clock, running time.Time) bool {
	clock = clock.Round(0)
	if jump := clock.Sub(e.clock) - running.Sub(e.running); e.running.IsZero() || jump.Abs() > jumpMost {
		e.since = running
	}
	e.clock, e.running = clock, running
	return running.Sub(e.since) >= evenFor
}

const idle = time.Minute

func (s *Store) closeIdle() {
	all, _ := s.all()
	border := time.Now().Add(-idle).Unix()
	for _, sl := range all {
		if sl.touched.Load() < border && sl.use.TryLock() {
			if err := sl.closeReader(); err != nil {
				s.opt.Logger.Warn(fmt.Sprintf("close %s: %v", sl.path, err))
			}
			sl.use.Unlock()
		}
	}
}

// retain deletes slices, the oldest first, while the newest row of one is too old or all take too much. The slice that
// is written to stays; when it is a day old it is closed, so that its turn comes.
func (s *Store) retain(byAge bool) error {
	s.turnOld()
	all, _ := s.all()
	var total int64
	for _, sl := range all {
		total += sl.size()
	}
	border := audit.FirstK(s.opt.Now().Add(-s.opt.Retention))
	for len(all) > 1 {
		size := all[0].size()
		old := byAge && s.opt.Retention > 0 && all[1].first < border
		large := s.opt.MaxSize > 0 && total > s.opt.MaxSize
		if !old && !large {
			return nil
		}
		if err := s.drop(all[0]); err != nil {
			return err
		}
		total -= size
		all = all[1:]
	}
	if !byAge {
		return nil
	}
	return s.dropOnly(all, border)
}

// dropOnly deletes the one slice of a node that has been quiet for as long as events are kept.
func (s *Store) dropOnly(all []*slice, border uint64) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, last := s.all()
	if s.opt.Retention == 0 || len(all) != 1 || s.writer != nil || last >= border {
		return nil
	}
	if !all[0].sealed.Load() {
		return nil
	}
	return s.drop(all[0])
}

// turnOld closes the newest slice of a quiet node.
func (s *Store) turnOld() {
	s.writing.Lock()
	defer s.writing.Unlock()
	now := s.opt.Now().UnixMilli()
	if s.writer == nil || s.writer.rows == 0 || now-audit.MillisOf(s.writer.slice.first) < sliceAge.Milliseconds() {
		return
	}
	if err := s.turn(); err != nil {
		s.opt.Logger.Warn(fmt.Sprintf("close the audit's newest file: %v", err))
	}
}

func (s *Store) drop(sl *slice) error {
	if err := sl.remove(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slices = slices.DeleteFunc(s.slices, func(other *slice) bool { return other == sl })
	return nil
}
