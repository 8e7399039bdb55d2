package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// spillReader gives the rows of the spill in order, for one reader at a time. A stretch that cannot be read is stepped
// over, with one sentence in the log, to the next frame whose checksum is right.
type spillReader struct {
	s       *spill
	file    *os.File
	segment segment // first names it; size is unused
	offset  int64
	buf     []byte
	rows    []Row
	memory  uint64 // the last row that was given out of memory
}

const readChunk = 256 << 10

// next gives up to limit rows that were not given before, none where all were. They are valid until the call after, which
// says that they are stored: what waits in memory alone is kept so long. What the disk has taken of that meanwhile comes again.
func (r *spillReader) next(limit int) ([]Row, error) {
	r.rows = r.rows[:0]
	r.s.forget(r.memory)
	for len(r.rows) == 0 {
		end, newest, err := r.place()
		if err != nil {
			return nil, err
		}
		if r.offset < end {
			if err := r.fill(end, limit); err != nil {
				return nil, err
			}
			continue
		}
		if newest {
			return r.fromMemory(limit), nil
		}
		r.forget()
	}
	return r.rows, nil
}

// place opens the segment that is to be read now and says how far it may be read.
func (r *spillReader) place() (int64, bool, error) {
	r.s.mu.Lock()
	at, found := slices.BinarySearchFunc(r.s.segments, r.segment.first, func(s segment, first uint64) int { return cmp.Compare(s.first, first) })
	if at == len(r.s.segments) {
		r.s.mu.Unlock()
		return r.offset, true, nil
	}
	here, newest := r.s.segments[at], at == len(r.s.segments)-1
	r.s.mu.Unlock()

	if r.file == nil || !found {
		r.close()
		f, err := os.Open(filepath.Join(r.s.dir, here.name()))
		if errors.Is(err, os.ErrNotExist) {
			r.s.missing(here)
			return r.place()
		}
		if err != nil {
			return 0, false, fmt.Errorf("read the audit spill: %w", err)
		}
		r.file, r.segment, r.offset = f, segment{first: here.first}, 0
	}
	return here.size, newest, nil
}

// forget leaves a segment that has been read to its end.
func (r *spillReader) forget() {
	r.close()
	r.segment.first++
	r.offset = 0
}

func (r *spillReader) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

// fromMemory gives what the disk would not take: nothing after it is in a file until that has it too.
func (r *spillReader) fromMemory(limit int) []Row {
	for b := r.s.inMemory(r.segment.first, r.offset); len(b) > 0 && len(r.rows) < limit; {
		row, size, _ := parseFrame(b)
		r.rows, r.memory = append(r.rows, row), row.K
		b = b[size:]
	}
	return r.rows
}

// fill reads a chunk and takes the rows in it.
func (r *spillReader) fill(end int64, limit int) error {
	if r.buf == nil {
		r.buf = make([]byte, readChunk)
	}
	b := r.buf[:min(int64(readChunk), end-r.offset)]
	n, err := r.file.ReadAt(b, r.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the audit spill: %w", err)
	}
	if n == 0 {
		r.s.log.Error(fmt.Sprintf("the audit spill %s ends at byte %d, short of the %d that were written: somebody cut it", r.path(), r.offset, end))
		r.offset = end
		return nil
	}
	final := n < len(b) || r.offset+int64(n) >= end
	b = b[:n]
	for len(r.rows) < limit && len(b) > 0 {
		row, size, state := parseFrame(b)
		if state == frameShort && !final {
			return nil // the rest comes with the next chunk
		}
		if state != frameWhole {
			size = r.stepOver(b, final)
		} else {
			r.rows = append(r.rows, row)
		}
		b = b[size:]
		r.offset += int64(size)
	}
	return nil
}

// stepOver says how many bytes lie before the next frame, and says so in the log.
func (r *spillReader) stepOver(b []byte, final bool) int {
	n := 1
	for n < len(b) {
		_, _, state := parseFrame(b[n:])
		if state == frameWhole || state == frameShort && !final {
			break
		}
		n++
	}
	r.s.log.Error(fmt.Sprintf("the audit spill %s is damaged at byte %d: %d bytes are left out, what follows is kept", r.path(), r.offset, n))
	return n
}

func (r *spillReader) path() string { return filepath.Join(r.s.dir, r.segment.name()) }

// lastK is the highest K that the spill ever gave out.
func (s *spill) lastK() (uint64, error) {
	if len(s.segments) == 0 {
		return 0, nil
	}
	newest := s.segments[len(s.segments)-1].first
	r := spillReader{s: s, segment: segment{first: newest}}
	defer r.close()
	last := newest
	for {
		rows, err := r.next(4096)
		if err != nil || len(rows) == 0 {
			return last, err
		}
		last = max(last, rows[len(rows)-1].K)
	}
}
