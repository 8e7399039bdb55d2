package sqlitestore

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/usher-im/usher/internal/audit"
)

// terms are the hashes of the rows of a slice that this process writes, from its first row on.
type terms struct {
	hasher audit.Hasher
	coded  uint32 // 1: every text that belongs into dict is there
	part   uint32 // partial, or 0

	mu     sync.RWMutex
	keys   []uint64
	hashes [audit.Terms][]uint32 // each up to the last row that has such a value
}

func (t *terms) add(key uint64, hash [audit.Terms]uint32) {
	t.keys = append(t.keys, key)
	for i, h := range hash {
		if h != 0 {
			t.hashes[i] = append(append(t.hashes[i], make([]uint32, len(t.keys)-1-len(t.hashes[i]))...), h)
		}
	}
}

// find gives the keys of the rows that may have one of the hashes, rising.
func (t *terms) find(term audit.Term, hashes []uint32) []uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var keys []uint64
	for n, h := range t.hashes[term] {
		if slices.Contains(hashes, h) {
			keys = append(keys, t.keys[n])
		}
	}
	return keys
}

// forget takes rows out of every term.
func (t *terms) forget(keys []uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		if n, ok := slices.BinarySearch(t.keys, k); ok {
			for _, hashes := range t.hashes {
				if n < len(hashes) {
					hashes[n] = 0
				}
			}
		}
	}
}

// write makes the index of a slice. Between the terms it rests.
func (t *terms) write(path string, rest func() error) (err error) {
	f, err := os.OpenFile(path+newExt, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(path+newExt))
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	if _, err = w.Write(t.head()); err != nil {
		return err
	}
	if err = writeEntries(w, t.keys); err != nil {
		return err
	}
	entries := make([]uint64, 0, len(t.keys))
	for _, hashes := range t.hashes {
		entries = entries[:0]
		for n, h := range hashes {
			if h != 0 {
				entries = append(entries, uint64(h)<<32|uint64(n))
			}
		}
		slices.Sort(entries)
		if err = writeEntries(w, entries); err != nil {
			return err
		}
		if err = rest(); err != nil {
			return err
		}
	}
	if err = errors.Join(w.Flush(), f.Sync()); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(path+newExt, path)
}

func (t *terms) head() []byte {
	head := make([]byte, 0, headSize)
	head = append(head, indexMagic...)
	head = binary.LittleEndian.AppendUint64(head, uint64(t.hasher))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(steps))|t.part)
	head = binary.LittleEndian.AppendUint32(head, t.coded)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(t.keys)))
	for _, hashes := range t.hashes {
		n := 0
		for _, h := range hashes {
			if h != 0 {
				n++
			}
		}
		head = binary.LittleEndian.AppendUint32(head, uint32(n))
	}
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
	return head[:headSize]
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func writeEntries(w io.Writer, entries []uint64) error {
	var b [window * entrySize]byte
	for part := range slices.Chunk(entries, window) {
		for i, e := range part {
			binary.LittleEndian.PutUint64(b[i*entrySize:], e)
		}
		if _, err := w.Write(b[:len(part)*entrySize]); err != nil {
			return err
		}
	}
	return nil
}
