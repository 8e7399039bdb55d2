package sqlitestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"

	"github.com/usher-im/usher/internal/audit"
)

// A sealed slice is searched through a file of its own beside it, not through SQLite's indexes. For each term it has
// the rows in the order of their hashes; hashes are spread evenly, so that the place of one can be guessed, and "is it
// here at all?", which is the question to most slices, is one read of a page from a file that nobody had to open a
// database for. Measured against CREATE INDEX: 2.3 µs less work for an event, a third fewer bytes, and a fingerprint
// over a hundred cold slices in a fifth of the time.
//
//	magic, 8 bytes; seed of the hashes, 8; schema of the slice, 1 where dict has every text, rows, entries of each
//	term: 4 each; CRC-32C of all that; zeros up to headSize
//	key of each row, 8 bytes, rising
//	for each term: hash<<32 + number of the row, 8 bytes each, rising
type index struct {
	file   *os.File
	hasher audit.Hasher
	schema int
	coded  bool
	// partial: of a slice that is not full, left by a process that ended well for the next one to go on with.
	partial bool
	first   int64 // where the entries of the first term begin
	rows    int
	terms   [audit.Terms]int
}

const (
	indexExt   = ".index"
	indexMagic = "ushridx1"
	headSize   = 64
	entrySize  = 8
	window     = 512 // entries read at once: one page of 4 KiB
	partial    = 1 << 31
)

var errIndex = errors.New("not an index of this version, or damaged")

// load reads back what a partial index was made from.
func (x *index) load() (*terms, error) {
	t := &terms{hasher: x.hasher}
	var err error
	if t.keys, err = x.read(headSize, 0, x.rows); err != nil {
		return nil, err
	}
	at := x.first
	for term, n := range x.terms {
		entries, err := x.read(at, 0, n)
		if err != nil {
			return nil, err
		}
		at += int64(n) * entrySize
		t.hashes[term] = make([]uint32, x.rows)
		for _, e := range entries {
			if n := uint32(e); int(n) < x.rows {
				t.hashes[term][n] = uint32(e >> 32)
			}
		}
	}
	return t, nil
}

func openIndex(path string) (*index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	x := &index{file: f}
	if err := x.readHead(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return x, nil
}

func (x *index) readHead() error {
	var b [headSize]byte
	if _, err := x.file.ReadAt(b[:], 0); err != nil {
		return err
	}
	const end = 28 + 4*int(audit.Terms)
	if string(b[:8]) != indexMagic ||
		crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return errIndex
	}
	x.hasher = audit.Hasher(binary.LittleEndian.Uint64(b[8:]))
	schema := binary.LittleEndian.Uint32(b[16:])
	x.schema, x.partial = int(schema&^partial), schema&partial != 0
	x.coded = binary.LittleEndian.Uint32(b[20:]) == 1
	x.rows = int(binary.LittleEndian.Uint32(b[24:]))
	x.first = headSize + int64(x.rows)*entrySize
	size := x.first
	for i := range x.terms {
		x.terms[i] = int(binary.LittleEndian.Uint32(b[28+4*i:]))
		size += int64(x.terms[i]) * entrySize
	}
	if info, err := x.file.Stat(); err != nil || info.Size() != size {
		return errors.Join(err, errIndex)
	}
	return nil
}

// find gives the keys of the rows that may have one of the hashes.
func (x *index) find(term audit.Term, hashes []uint32) ([]uint64, error) {
	numbers, err := x.numbers(term, hashes)
	if err != nil {
		return nil, err
	}
	return x.keys(numbers)
}

// numbers gives the numbers of the rows that may have one of the hashes.
func (x *index) numbers(term audit.Term, hashes []uint32) ([]uint32, error) {
	at, n := x.entries(term)
	var numbers []uint32
	for _, h := range hashes {
		rows, err := x.lookUp(at, n, h)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, rows...)
	}
	return numbers, nil
}

// entries says where the entries of a term begin, and how many there are.
func (x *index) entries(term audit.Term) (at int64, n int) {
	at = x.first
	for t := range term {
		at += int64(x.terms[t]) * entrySize
	}
	return at, x.terms[term]
}

// guess is where a page should begin in whose middle the hash is, if all are spread evenly.
func guess(n int, hash uint32) int { return int(uint64(n)*uint64(hash)>>32) - window/2 }

// keys turns numbers of rows into keys, one by one where they are few, else from all the keys at once.
func (x *index) keys(numbers []uint32) ([]uint64, error) {
	keys := make([]uint64, 0, len(numbers))
	if len(numbers) > 0 && int64(slices.Max(numbers)) >= int64(x.rows) {
		return nil, errIndex
	}
	if len(numbers) > window {
		all, err := x.read(headSize, 0, x.rows)
		if err != nil {
			return nil, err
		}
		for _, n := range numbers {
			keys = append(keys, all[n])
		}
		return keys, nil
	}
	for _, n := range numbers {
		from := max(int(n)-1, 0) // between its neighbours it is known to be right
		near, err := x.read(headSize, from, min(3, x.rows-from))
		if err != nil {
			return nil, err
		}
		keys = append(keys, near[int(n)-from])
	}
	return keys, nil
}

// lookUp finds the rows of a hash among n sorted entries: first where the hash would be if all were spread evenly, then
// beside that, then by halving.
func (x *index) lookUp(at int64, n int, hash uint32) ([]uint32, error) {
	target := uint64(hash) << 32
	low, high := 0, n // the first entry of the hash, or above it, is among these or is high
	next := guess(n, hash)
	for try := 0; low < high; try++ {
		begin := max(min(next, high-window), low)
		end := min(begin+window, high)
		entries, err := x.read(at, begin, end-begin)
		if err != nil {
			return nil, err
		}
		i, _ := slices.BinarySearch(entries, target)
		switch {
		case i == 0 && begin > low:
			high, next = begin, begin-window
		case i == len(entries) && end < high:
			low, next = end, end
		default:
			return x.collect(at, n, begin+i, entries[i:], hash)
		}
		if try > 0 {
			next = (low + high - window) / 2
		}
	}
	return x.collect(at, n, low, nil, hash)
}

// collect gives the rows of a hash whose first entry is number i; some entries from there on have been read.
func (x *index) collect(at int64, n, i int, entries []uint64, hash uint32) ([]uint32, error) {
	var rows []uint32
	for {
		for _, e := range entries {
			if uint32(e>>32) != hash {
				return rows, nil
			}
			rows = append(rows, uint32(e))
		}
		i += len(entries)
		if i >= n {
			return rows, nil
		}
		var err error
		if entries, err = x.read(at, i, min(window, n-i)); err != nil {
			return nil, err
		}
	}
}

// read gives keys or entries. Both rise, which shows nearly everything that a disk may have made of them; a checksum of all
// would have to be read through.
func (x *index) read(at int64, from, n int) ([]uint64, error) {
	b := make([]byte, n*entrySize)
	if _, err := x.file.ReadAt(b, at+int64(from)*entrySize); err != nil {
		return nil, err
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(b[i*entrySize:])
		if i > 0 && out[i] <= out[i-1] {
			return nil, errIndex
		}
	}
	return out, nil
}
