package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/usher-im/usher/internal/audit"
)

// slice is one file. Queries hold use for reading; whoever changes how the file is opened holds it for writing.
type slice struct {
	path    string
	first   uint64
	foreign bool // another process writes it

	use     sync.RWMutex
	gone    bool
	turned  atomic.Bool // nothing is written to it any more
	sealed  atomic.Bool // has its index and no log
	damaged atomic.Bool // its index is; the slice is looked through until the sealer has made another
	opening sync.Mutex
	reader  *reader
	index   *index
	pages   *pages
	terms   atomic.Pointer[terms] // of a slice that this process wrote from its first row on and has not sealed
	touched atomic.Int64          // Unix seconds of the last query
}

// reader is an open slice.
type reader struct {
	db      *sql.DB
	hasher  audit.Hasher
	indexed bool
	// coded: every text of these tags that is long enough stands in dict, none in the rows.
	coded bool

	mu    sync.Mutex
	texts map[uint64][]byte
}

var errGone = errors.New("the slice was deleted meanwhile")

// hold keeps the slice as it is until release is called. A slice that retention has deleted gives errGone.
func (sl *slice) hold() (release func(), err error) {
	sl.use.RLock()
	if sl.gone {
		sl.use.RUnlock()
		return nil, errGone
	}
	sl.touched.Store(time.Now().Unix())
	return sl.use.RUnlock, nil
}

// acquire holds the slice and opens it.
func (sl *slice) acquire(ctx context.Context) (*reader, func(), error) {
	release, err := sl.hold()
	if err != nil {
		return nil, nil, err
	}
	r, err := sl.open(ctx)
	if err != nil {
		release()
		return nil, nil, err
	}
	return r, release, nil
}

// open opens the file for reading, for who holds the slice.
func (sl *slice) open(ctx context.Context) (*reader, error) {
	sl.opening.Lock()
	defer sl.opening.Unlock()
	if sl.reader == nil {
		r, err := sl.openReader(ctx)
		if err != nil {
			return nil, fmt.Errorf("open the audit file %s: %w", sl.path, err)
		}
		sl.reader = r
	}
	return sl.reader, nil
}

func (sl *slice) openReader(ctx context.Context) (*reader, error) {
	x, err := sl.loadIndex() // before a row is read, see steadily
	if err != nil {
		return nil, err
	}
	var db *sql.DB
	if sl.sealed.Load() {
		db, err = openSealed(sl.path)
	} else {
		// Not read-only: what a crash left half done is undone by whoever opens the file first.
		db, err = open(sl.path, "mode=rw", "query_only(1)")
	}
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(2)
	db.SetMaxOpenConns(4)
	r := &reader{db: db, texts: map[uint64][]byte{}}
	if x != nil {
		r.hasher, r.indexed, r.coded = x.hasher, true, x.coded
		return r, nil
	}
	var seed int64
	err = db.QueryRowContext(ctx, `SELECT (SELECT value FROM meta WHERE name = 'seed'),
		EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'by_n')`).Scan(&seed, &r.indexed)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	r.hasher = audit.Hasher(seed)
	return r, nil
}

// candidates gives the keys of the rows that may have what a query looks for. It is not ok where the query looks for
// nothing in particular, or the slice cannot tell without being read.
func (sl *slice) candidates(q *audit.Query) (keys []uint64, ok bool, err error) {
	if t := sl.terms.Load(); t != nil {
		term, hashes := t.hasher.Search(q)
		if len(hashes) == 0 {
			return nil, false, nil
		}
		return t.find(term, hashes), true, nil
	}
	x, err := sl.openIndex()
	if x == nil || err != nil {
		return nil, false, err
	}
	term, hashes := x.hasher.Search(q)
	if len(hashes) == 0 {
		return nil, false, nil
	}
	keys, err = x.find(term, hashes)
	if sl.doubts(err) {
		return nil, false, nil
	}
	return keys, err == nil, err
}

// doubts says whether the index is damaged, and has it made again where it is.
func (sl *slice) doubts(err error) bool {
	if !errors.Is(err, errIndex) {
		return false
	}
	sl.damaged.Store(true)
	sl.sealed.Store(false)
	return true
}

// openPages opens a sealed slice to read single rows; nil where it is not sealed, or has to be read by SQLite.
func (sl *slice) openPages() *pages {
	sl.opening.Lock()
	defer sl.opening.Unlock()
	// A file that is not sealed may be open for writing in this process, and closing it would take those locks away.
	if sl.pages != nil || !sl.sealed.Load() || sl.foreign && sl.index == nil {
		return sl.pages
	}
	p, err := openPages(sl.path)
	if err != nil {
		return nil
	}
	sl.pages = p
	return p
}

// openIndex is loadIndex for who does not have opening.
func (sl *slice) openIndex() (*index, error) {
	sl.opening.Lock()
	defer sl.opening.Unlock()
	return sl.loadIndex()
}

// loadIndex opens the slice's index, nil where it has none yet. The caller has opening.
func (sl *slice) loadIndex() (*index, error) {
	if sl.damaged.Load() {
		return nil, nil
	}
	if sl.index != nil || !sl.sealed.Load() && !sl.foreign {
		return sl.index, nil
	}
	x, err := openIndex(sl.path + indexExt)
	if err != nil && sl.foreign {
		sl.sealed.Store(false)
		return nil, nil // the other process has not sealed it yet, or erases from it
	}
	if sl.doubts(err) {
		return nil, nil
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, io.EOF) {
		sl.sealed.Store(false) // somebody deleted or emptied it: the sealer makes it again
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the audit's index: %w", err)
	}
	if x.partial { // the other process is about to go on with the slice, or will be
		return nil, x.file.Close()
	}
	sl.sealed.Store(true)
	sl.index = x
	return x, nil
}

// shut closes the slice for reading; the next query opens it again. It waits for queries in flight.
func (sl *slice) shut() error {
	sl.use.Lock()
	defer sl.use.Unlock()
	return sl.closeReader()
}

// closeReader is for who holds use.
func (sl *slice) closeReader() error {
	var err error
	if sl.reader != nil {
		err = sl.reader.db.Close()
		sl.reader = nil
	}
	if sl.index != nil {
		err = errors.Join(err, sl.index.file.Close())
		sl.index = nil
	}
	if sl.pages != nil {
		err = errors.Join(err, sl.pages.file.Close())
		sl.pages = nil
	}
	return err
}

// remove deletes the file.
func (sl *slice) remove() error {
	sl.use.Lock()
	defer sl.use.Unlock()
	sl.gone = true
	err := sl.closeReader()
	for _, suffix := range []string{indexExt, "-wal", "-shm", "-journal", ""} {
		if e := os.Remove(sl.path + suffix); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// size is how many bytes the slice takes.
func (sl *slice) size() int64 {
	var n int64
	for _, suffix := range []string{"", "-wal", indexExt} {
		if info, err := os.Stat(sl.path + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}
