package sqlitestore

import (
	"bufio"
	"context"
	"database/sql"
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

// querier is an sql.DB, or the one connection of a writer.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// readTerms reads what an index is made from, of a slice that another process has begun or that was erased from.
func readTerms(ctx context.Context, db querier) (*terms, error) {
	var seed int64
	if err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'seed'").Scan(&seed); err != nil {
		return nil, err
	}
	all := &terms{hasher: audit.Hasher(seed)}
	rows, err := db.QueryContext(ctx, "SELECT k, coalesce(f, 0), coalesce(j, 0), coalesce(u, 0), coalesce(a, 0), coalesce(r, 0) FROM rows ORDER BY k")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k int64
		var h [audit.Terms]int64
		if err := rows.Scan(&k, &h[0], &h[1], &h[2], &h[3], &h[4]); err != nil {
			return nil, err
		}
		var hash [audit.Terms]uint32
		for i := range h {
			hash[i] = uint32(h[i])
		}
		all.add(uint64(k), hash)
	}
	return all, rows.Err()
}
