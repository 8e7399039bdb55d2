package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrSpillWaits says that events wait in memory for the disk of the spill.
var ErrSpillWaits = errors.New("the disk of the audit spill takes no events: mend the disk of data_dir")

// Rotate ends the spill's newest file, so that it is deleted as soon as its events are safe in the store: what was erased
// from the store must not stay there until the file is full.
func (p *Pipeline) Rotate() error { return p.spill.rotate() }

func (s *spill) rotate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.memory) > 0 {
		return ErrSpillWaits
	}
	if len(s.segments) == 0 || s.last().size == 0 {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(s.dir, s.last().name()))
	if err != nil && !errors.Is(err, os.ErrNotExist) { // of one that somebody has deleted there is nothing to count on from
		return fmt.Errorf("read the audit spill: %w", err)
	}
	if err := s.begin(max(s.last().first, lastOf(b)) + 1); err != nil {
		return err
	}
	s.announce() // to who deletes
	return nil
}

// lastOf is the highest K of the frames in b. Nothing is written to the spill while it looks: the next file must be
// named above every row of this one.
func lastOf(b []byte) (last uint64) {
	for len(b) > 0 {
		row, size, state := parseFrame(b)
		if state != frameWhole {
			b = b[1:]
			continue
		}
		last = max(last, row.K)
		b = b[size:]
	}
	return last
}
