package audit

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// rowsOf reads everything that a spill holds.
func rowsOf(t *testing.T, s *spill) []Row {
	t.Helper()
	r := spillReader{s: s}
	defer r.close()
	var all []Row
	for {
		rows, err := r.next(100)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			return all
		}
		for _, row := range rows {
			all = append(all, Row{K: row.K, Data: bytes.Clone(row.Data)})
		}
	}
}

func newSpill(t *testing.T, dir string, limit int64) (*spill, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s, err := openSpill(dir, limit, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.retire(); _ = s.sync() })
	return s, &log
}

// write appends n rows from K first on and gives the K after the last.
func write(t *testing.T, s *spill, first uint64, n int) uint64 {
	t.Helper()
	for k := first; k < first+uint64(n); k++ {
		if err := s.append(appendFrame(nil, k, payload(k)), k); err != nil {
			t.Fatal(err)
		}
	}
	return first + uint64(n)
}

func payload(k uint64) []byte { return bytes.Repeat(fmt.Appendf(nil, "row %d ", k), 20) }

func wantRows(t *testing.T, rows []Row, ks ...uint64) {
	t.Helper()
	var got []uint64
	for _, r := range rows {
		got = append(got, r.K)
		if !bytes.Equal(r.Data, payload(r.K)) {
			t.Errorf("row %d came back as %q", r.K, r.Data)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(ks) {
		t.Errorf("got rows %v, want %v", got, ks)
	}
}

func upTo(first, end uint64) (ks []uint64) {
	for k := first; k < end; k++ {
		ks = append(ks, k)
	}
	return ks
}

func TestSpill_AnotherProcessReadsOnInOrderAndCountsOn(t *testing.T) {
	dir := t.TempDir()
	s, _ := newSpill(t, dir, 1<<20)
	next := write(t, s, 10, 2000)
	if len(s.segments) < 2 {
		t.Fatalf("%d segments: the test wants several", len(s.segments))
	}
	again, _ := newSpill(t, dir, 1<<20)
	wantRows(t, rowsOf(t, again), upTo(10, next)...)
	if last, err := again.lastK(); err != nil || last != next-1 {
		t.Errorf("counts on from %d (%v), want %d", last, err, next-1)
	}
}

func TestSpill_ReleaseDeletesOnlyWhatIsSafe(t *testing.T) {
	dir := t.TempDir()
	s, _ := newSpill(t, dir, 1<<20)
	next := write(t, s, 1, 2000)
	half := s.segments[len(s.segments)/2].first
	if err := s.release(half - 1); err != nil {
		t.Fatal(err)
	}
	wantRows(t, rowsOf(t, s), upTo(half, next)...)
	if err := s.close(next-1, next-1); err != nil {
		t.Fatal(err)
	}
	again, _ := newSpill(t, dir, 1<<20)
	if last, _ := again.lastK(); again.total != 0 || last < next-1 {
		t.Errorf("after a clean end %d bytes are left and counting goes on from %d, want 0 and at least %d", again.total, last, next-1)
	}
}

func TestSpill_TornTailLosesTheTornRowOnly(t *testing.T) {
	dir := t.TempDir()
	s, _ := newSpill(t, dir, 1<<20)
	write(t, s, 1, 20)
	path := filepath.Join(dir, s.last().name())
	for _, cut := range []int64{1, frameHead - 3, int64(len(payload(20))) - 1, frameHead + int64(len(payload(20))) - 1} {
		if err := os.Truncate(path, s.last().size-cut); err != nil {
			t.Fatal(err)
		}
		again, log := newSpill(t, dir, 1<<20)
		wantRows(t, rowsOf(t, again), upTo(1, 20)...)
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("cut by %d: %d lines in the log:\n%s", cut, n, log)
		}
	}
}

func TestSpill_CorruptRowLosesItselfOnly(t *testing.T) {
	dir := t.TempDir()
	s, _ := newSpill(t, dir, 1<<20)
	write(t, s, 1, 20)
	path := filepath.Join(dir, s.last().name())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	frame := frameHead + len(payload(1))
	for name, at := range map[string]int{"length": 1, "huge length": 3, "checksum": 5, "k": 9, "data": 60} {
		bad := bytes.Clone(whole)
		bad[4*frame+at] ^= 0xff
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		again, log := newSpill(t, dir, 1<<20)
		wantRows(t, rowsOf(t, again), append(upTo(1, 5), upTo(6, 21)...)...)
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%s: %d lines in the log:\n%s", name, n, log)
		}
	}
}

func TestSpill_DamageAcrossAChunkLosesNothingElse(t *testing.T) {
	dir := t.TempDir()
	s, _ := newSpill(t, dir, 64<<20)
	next := write(t, s, 1, 6000)
	path := filepath.Join(dir, s.last().name())
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 2000), readChunk-1000); err != nil {
		t.Fatal(err)
	}
	rows := rowsOf(t, s)
	lost := int(next-1) - len(rows)
	if most := 2000/len(payload(100)) + 2; lost == 0 || lost > most {
		t.Errorf("2000 bytes cost %d rows, want at most %d", lost, most)
	}
}

func TestSpill_StopsAtItsBound(t *testing.T) {
	s, _ := newSpill(t, t.TempDir(), 300<<10)
	var err error
	k := uint64(1)
	for ; err == nil; k++ {
		err = s.append(appendFrame(nil, k, payload(k)), k)
	}
	if !errors.Is(err, errSpillFull) || s.total > 300<<10 {
		t.Errorf("%v at %d bytes", err, s.total)
	}
	if err := s.release(k); err != nil {
		t.Fatal(err)
	}
	write(t, s, k, 1)
}

// diskOf gives a spill a disk with so much room, which may change.
func diskOf(s *spill, bytes int) (room *int) {
	room = &bytes
	s.openFile = func(path string) (appendFile, error) {
		f, err := appendOnly(path)
		return fullDisk{f, room}, err
	}
	return room
}

// fullDisk is a file on a disk with room for a few bytes only.
type fullDisk struct {
	appendFile
	room *int
}

func (f fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), *f.room)
	*f.room -= n
	n, err := f.appendFile.Write(b[:n])
	if n < len(b) && err == nil {
		err = syscall.ENOSPC
	}
	return n, err
}

func TestSpill_FullDiskKeepsTheOrderAndWritesAgain(t *testing.T) {
	s, log := newSpill(t, t.TempDir(), 1<<20)
	room := diskOf(s, 1000)
	next := write(t, s, 1, 100)
	if len(s.memory) == 0 || s.total == 0 || s.total > 1000 {
		t.Fatalf("%d bytes on disk and %d in memory: the test wants some of both", s.total, len(s.memory))
	}
	*room = 1 << 20
	wantRows(t, rowsOf(t, s), upTo(1, next)...)
	end := write(t, s, next, 3)
	if len(s.memory) != 0 {
		t.Error("the disk has room and is not used")
	}
	wantRows(t, rowsOf(t, s), append(upTo(1, uint64(1000/len(appendFrame(nil, 1, payload(1))))+1), upTo(next, end)...)...)
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("an outage and its end took %d lines:\n%s", n, log)
	}
}

func TestSpill_WhatWaitsInMemoryGoesToTheDiskOnceThatHasRoom(t *testing.T) {
	dir := t.TempDir()
	s, log := newSpill(t, dir, 1<<20)
	room := diskOf(s, 1000)
	next := write(t, s, 1, 2000)
	r := spillReader{s: s}
	defer r.close()
	for range 2 { // those of the file, then some of those in memory, which the store does not take
		if rows, err := r.next(100); err != nil || len(rows) == 0 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
	}
	*room = 1 << 20
	end := write(t, s, next, 3)
	if len(s.memory) != 0 {
		t.Errorf("%d bytes stay in memory although the disk has room", len(s.memory))
	}
	again, _ := newSpill(t, dir, 1<<20)
	wantRows(t, rowsOf(t, again), upTo(1, end)...)
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("an outage and its end took %d lines:\n%s", n, log)
	}
}

func TestSpill_DeletedFileHoldsUpNothing(t *testing.T) {
	for name, doomed := range map[string]func(all []segment) []segment{
		"one of several": func(all []segment) []segment { return all[1:2] },
		"the newest":     func(all []segment) []segment { return all[len(all)-1:] },
		"all":            func(all []segment) []segment { return all },
	} {
		t.Run(name, func(t *testing.T) {
			s, log := newSpill(t, t.TempDir(), 1<<20)
			next := write(t, s, 1, 2000)
			gone := map[uint64]bool{}
			for _, one := range doomed(s.segments) {
				if err := os.Remove(filepath.Join(s.dir, one.name())); err != nil {
					t.Fatal(err)
				}
				gone[one.first] = true
			}
			if err := s.rotate(); err != nil {
				t.Error(err)
			}
			var want []uint64
			for i, one := range s.segments {
				end := next
				if i+1 < len(s.segments) {
					end = s.segments[i+1].first
				}
				if !gone[one.first] && one.size > 0 {
					want = append(want, upTo(one.first, end)...)
				}
			}
			wantRows(t, rowsOf(t, s), want...)
			end := write(t, s, next, 3)
			wantRows(t, rowsOf(t, s), append(want, upTo(next, end)...)...)
			if n := strings.Count(log.String(), "somebody deleted it"); n != len(gone) {
				t.Errorf("%d files that are gone are told %d times:\n%s", len(gone), n, log)
			}
		})
	}
}

// Whoever is told to mend a disk that has room looks in the wrong place.
func TestSpill_BoundIsSaidAlsoWhereSomethingWaitsInMemory(t *testing.T) {
	s, _ := newSpill(t, t.TempDir(), 500<<10)
	room := diskOf(s, 200<<10)
	next := write(t, s, 1, 3000)
	*room = 1 << 20
	if err := s.append(appendFrame(nil, next, payload(next)), next); !errors.Is(err, errSpillFull) || s.total > 500<<10 {
		t.Errorf("%v at %d bytes on the disk, and %d in memory", err, s.total, len(s.memory))
	}
}

// As somebody does who wants room on the disk.
func TestSpill_WhatWaitsInMemoryIsReadWhereTheFilesAreDeleted(t *testing.T) {
	s, _ := newSpill(t, t.TempDir(), 1<<20)
	room := diskOf(s, 1<<20)
	next := write(t, s, 1, 2000)
	r := spillReader{s: s}
	defer r.close()
	if _, err := r.next(1); err != nil {
		t.Fatal(err)
	}
	*room = 0
	end := write(t, s, next, 3)
	for _, one := range s.segments {
		if err := os.Remove(filepath.Join(s.dir, one.name())); err != nil {
			t.Fatal(err)
		}
	}
	var last uint64
	for {
		rows, err := r.next(100)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		last = rows[len(rows)-1].K
	}
	if last != end-1 {
		t.Errorf("the last row that is read is %d, want %d", last, end-1)
	}
}

func TestSpill_FullDiskAndMemoryRefuse(t *testing.T) {
	s, _ := newSpill(t, t.TempDir(), 1<<20)
	diskOf(s, 0)
	var err error
	for k := uint64(1); err == nil; k++ {
		err = s.append(appendFrame(nil, k, bytes.Repeat([]byte("x"), maxFrame-100)), k)
	}
	const promised = 20 << 20 // docs/audit.md
	if !errors.Is(err, errNoRoom) || len(s.memory) > maxMemory || len(s.memory) < promised-maxFrame {
		t.Errorf("%v with %d bytes in memory", err, len(s.memory))
	}
}
