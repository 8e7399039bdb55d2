package audit

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// spill is the log on disk between the queue and the store. It is always in the way, not only while the store is away:
// one path, and a kill -9 loses no more than what the queue held.
//
// It is a folder of segments, named by the lowest K they may hold, of frames: length, CRC-32C of the rest, K, the
// packed event. A segment goes once the store has said that its rows are safe; the newest is ended when it is a day old. A new process begins a new segment, so
// that a torn end of the last one is never written behind; the newest segment stays, even empty: its name tells the
// next process where to go on counting.
type spill struct {
	dir      string
	max      int64
	segment  int64 // most bytes of one segment
	log      *slog.Logger
	openFile func(string) (appendFile, error)

	mu       sync.Mutex
	segments []segment // oldest first; events are written to the last
	file     appendFile
	unsynced []appendFile // full segments whose last bytes may not be on disk yet
	dirty    bool
	total    int64
	memory   []byte        // frames that the disk would not take, and that nobody has stored
	failing  bool          // the last write failed, and the log says so
	grown    chan struct{} // closed and made anew when something was written
}

type segment struct {
	first uint64
	size  int64
}

// appendFile is what the spill needs of a file, so that a test can fill the disk.
type appendFile interface {
	io.Writer
	Truncate(int64) error
	Close() error
	Fd() uintptr
	Sync() error
}

const (
	maxSegment = 8 << 20
	maxMemory  = 20 << 20
	spillExt   = ".spill"
)

var (
	errSpillFull = errors.New("the audit spill has reached audit.spill_max")
	errNoRoom    = errors.New("the disk of the audit spill takes no more, and neither does memory")
)

func openSpill(dir string, limit int64, log *slog.Logger) (*spill, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the audit spill: %w", err)
	}
	s := &spill{
		dir: dir, max: limit, segment: min(max(limit/16, 4*maxFrame), maxSegment), log: log,
		openFile: appendOnly, grown: make(chan struct{}),
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of the audit spill: %w", err)
	}
	for _, e := range entries {
		first, ok := segmentName(e.Name())
		info, err := e.Info()
		if !ok || err != nil {
			continue
		}
		s.segments = append(s.segments, segment{first, info.Size()})
		s.total += info.Size()
	}
	slices.SortFunc(s.segments, func(a, b segment) int { return strings.Compare(a.name(), b.name()) })
	return s, nil
}

func appendOnly(path string) (appendFile, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

func (s segment) name() string { return fmt.Sprintf("%016x%s", s.first, spillExt) }

func segmentName(name string) (uint64, bool) {
	hex, ok := strings.CutSuffix(name, spillExt)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	first, err := strconv.ParseUint(hex, 16, 64)
	return first, err == nil
}

// append takes frames whose first row is k. Where the disk fails they wait in memory, and what comes after them too, until
// the disk takes all of it.
func (s *spill) append(frames []byte, k uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.empty()
	if err == nil {
		err = s.write(frames, k)
	}
	if err == nil || errors.Is(err, errSpillFull) {
		return err
	}
	if !s.failing {
		s.failing = true
		s.log.Error(err.Error() + ": events wait in memory, and are shed where that is full; mend the disk of data_dir")
	}
	if len(s.memory)+len(frames) > maxMemory {
		return errNoRoom
	}
	s.memory = append(s.memory, frames...)
	s.announce()
	return nil
}

// empty brings to the disk what waits in memory, in parts: of a disk with little room not much is to be taken back.
func (s *spill) empty() error {
	for len(s.memory) > 0 {
		first, n, _ := parseFrame(s.memory)
		for {
			_, more, state := parseFrame(s.memory[n:])
			if state != frameWhole || n+more > drainBytes {
				break
			}
			n += more
		}
		if err := s.write(s.memory[:n], first.K); err != nil {
			return err
		}
		s.memory = s.memory[n:]
	}
	s.memory = nil
	return nil
}

// write brings frames to the file; what was not written whole is taken back.
func (s *spill) write(frames []byte, k uint64) error {
	if s.total+int64(len(frames)) > s.max {
		return errSpillFull
	}
	if s.file == nil || s.last().size > 0 && s.last().size+int64(len(frames)) > s.segment {
		if err := s.begin(k); err != nil {
			return err
		}
	}
	last := s.last()
	if _, err := s.file.Write(frames); err != nil {
		if undo := s.file.Truncate(last.size); undo != nil {
			s.retire() // nothing may follow the torn frame in its file
		}
		return fmt.Errorf("write the audit spill: %w", err)
	}
	last.size += int64(len(frames))
	s.total += int64(len(frames))
	s.dirty = true
	if s.failing {
		s.failing = false
		s.log.Info("the audit spill writes to the disk again")
	}
	s.announce()
	return nil
}

func (s *spill) announce() {
	close(s.grown)
	s.grown = make(chan struct{})
}

// growth is closed when something is written after this call.
func (s *spill) growth() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grown
}

// inMemory gives what the disk would not take to who has read the files before it: the newest, named first, up to read.
// Where the disk has taken more meanwhile, that comes first.
func (s *spill) inMemory(first uint64, read int64) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) > 0 && (s.last().first > first || s.last().first == first && s.last().size > read) {
		return nil
	}
	return s.memory
}

// forget lets go of what waits in memory up to k.
func (s *spill) forget(k uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.memory) > 0 {
		row, size, _ := parseFrame(s.memory)
		if row.K > k {
			return
		}
		s.memory = s.memory[size:]
	}
	s.memory = nil
}

// missing lets go of a segment whose file somebody has deleted, so that what comes after it is read.
func (s *spill) missing(gone segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.segments {
		if other.first != gone.first {
			continue
		}
		if i == len(s.segments)-1 {
			s.retire() // what is written to it nobody could read
		}
		s.segments = slices.Delete(s.segments, i, i+1)
		s.total -= other.size
		s.log.Error(fmt.Sprintf("the audit spill %s with %d bytes is gone, somebody deleted it: what the store has not taken of it is lost", filepath.Join(s.dir, gone.name()), other.size))
	}
}

// bytes is how much lies in the files, safe in the store already or not.
func (s *spill) bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

func (s *spill) last() *segment { return &s.segments[len(s.segments)-1] }

// begin starts a segment whose rows are at least k.
func (s *spill) begin(k uint64) error {
	next := segment{first: k}
	if n := len(s.segments); n > 0 && s.segments[n-1].first >= k {
		next.first = s.segments[n-1].first + 1 // an empty one of that name; counting goes on above it
	}
	f, err := s.openFile(filepath.Join(s.dir, next.name()))
	if err != nil {
		return fmt.Errorf("begin a file of the audit spill: %w", err)
	}
	s.retire()
	s.file = f
	s.segments = append(s.segments, next)
	return nil
}

func (s *spill) retire() {
	if s.file != nil {
		s.unsynced = append(s.unsynced, s.file)
		s.file = nil
	}
}

// sync brings what was written to the disk. Writers go on meanwhile.
func (s *spill) sync() error {
	s.mu.Lock()
	full, current := s.unsynced, s.file
	if !s.dirty {
		current = nil
	}
	s.unsynced, s.dirty = nil, false
	s.mu.Unlock()

	var failed error
	for _, f := range full {
		failed = errors.Join(failed, fdatasync(f), f.Close())
	}
	if current != nil {
		failed = errors.Join(failed, fdatasync(current))
	}
	if failed != nil {
		return fmt.Errorf("bring the audit spill to the disk: %w", failed)
	}
	return nil
}

// holds tells since when there may be rows in the newest segment, the zero time where it is empty, and whether there are
// other segments.
func (s *spill) holds() (since time.Time, several bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) > 0 && s.last().size > 0 {
		since = time.UnixMilli(MillisOf(s.last().first))
	}
	return since, len(s.segments) > 1
}

// release deletes the segments whose rows are all at most k, but never the newest.
func (s *spill) release(k uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.segments) > 1 && s.segments[1].first <= k+1 {
		if err := os.Remove(filepath.Join(s.dir, s.segments[0].name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("delete a file of the audit spill: %w", err)
		}
		s.total -= s.segments[0].size
		s.segments = s.segments[1:]
	}
	return nil
}

// close brings what waits in memory to the disk if that takes it now, and leaves an empty newest segment where everything up
// to last is safe in the store.
func (s *spill) close(last, safe uint64) error {
	s.mu.Lock()
	failed := s.empty()
	if failed != nil {
		failed = fmt.Errorf("%d bytes of audit are lost, the store did not take them either: %w", len(s.memory), failed)
	}
	if len(s.segments) > 0 && s.last().size > 0 && safe >= last {
		if err := s.begin(last + 1); err != nil {
			s.log.Warn("the audit spill keeps a file that is not needed: " + err.Error())
		}
	}
	s.retire()
	s.mu.Unlock()
	return errors.Join(failed, s.sync(), s.release(safe))
}
