package sqlitestore

import (
	"os"
	"sync"
	"sync/atomic"

	"github.com/usher-im/usher/internal/audit"
)

// A search for a term comes to many slices, most of which do not have it, and each has a few reads that hang on one
// another: the place in the index, the key of the row, the root of the table, the row, the texts it names. One after the
// other, a cold disk makes that slow; in Go only about as many reads wait side by side as there are cores. So all slices
// go through the same steps together: a step looks at what has come, and asks the disk for what the next one will want,
// without waiting for it. Measured: a user over a hundred cold slices in 17 ms rather than 30.

// part is what a search has to do in one slice.
type part struct {
	slice  *slice
	way    way
	sought bool // way is known

	index   *index   // that numbers are from
	numbers []uint32 // of the rows, until their keys are read
	rows    [][]byte // of the first keys of way, read ahead; nil where there is none
	err     error

	answer chan found // what the slice gave; nil before it is asked
}

func partsOf(all []*slice) []*part {
	parts := make([]*part, len(all))
	for i, sl := range all { // oldest first
		parts[len(all)-1-i] = &part{slice: sl}
	}
	return parts
}

// firstGroup is how many slices are looked up at first. Most answers that fill a page lie in the newest ones.
const firstGroup = 32

// seek looks up in which rows of the newest slices to look, until there may be enough, and reads those ahead. It gives
// the parts, newest first, and the slices that are left.
func (f *search) seek(all []*slice, enough int, start func(*part)) (parts []*part, left []*slice) {
	found := 0
	for group := firstGroup; len(all) > 0 && found < enough; group *= 4 {
		n := len(all) - min(group, len(all))
		fresh := partsOf(all[n:])
		all = all[:n]
		f.begin(fresh[0], start)
		f.lookUp(fresh)
		for _, p := range fresh {
			found += len(p.way.keys)
		}
		parts = append(parts, fresh...)
	}
	f.readAhead(parts, enough)
	return parts, all
}

// begin starts with a slice that has to be looked through, which takes as long as all the others.
func (f *search) begin(p *part, start func(*part)) {
	if p.slice.sealed.Load() || p.slice.terms.Load() != nil {
		return
	}
	if release, err := p.slice.hold(); err == nil {
		p.seekNow(f)
		release()
		if p.err == nil && !p.way.known {
			start(p)
		}
	}
}

// seekNow finds the way without asking ahead, for who holds the slice.
func (p *part) seekNow(f *search) {
	p.way, p.err = f.way(p.slice)
	p.sought = true
}

// together calls a step for all parts whose slice is there, several at a time.
func together(parts []*part, step func(*part)) {
	var next atomic.Int64
	var running sync.WaitGroup
	for range min(atOnce, len(parts)) {
		running.Go(func() {
			for n := next.Add(1); n <= int64(len(parts)); n = next.Add(1) {
				p := parts[n-1]
				if p.answer != nil || p.err != nil {
					continue
				}
				release, err := p.slice.hold()
				if err != nil {
					p.way, p.sought = way{known: true}, true // deleted meanwhile: nothing to look at
					continue
				}
				step(p)
				release()
			}
		})
	}
	running.Wait()
}

const atOnce = 4

// lookUp finds the keys of the rows that may have the term.
func (f *search) lookUp(parts []*part) {
	together(parts, func(p *part) {
		if !p.slice.wantEntries(&f.q) && !p.sought {
			p.seekNow(f)
		}
	})
	together(parts, func(p *part) {
		if !p.sought {
			p.seekNumbers(f)
		}
	})
	together(parts, func(p *part) {
		if !p.sought {
			p.seekKeys(f)
		}
	})
}

// wantEntries asks for the page of the index where the query's hash should be; false where the slice has been used
// lately, or has no index.
func (sl *slice) wantEntries(q *audit.Query) bool {
	sl.opening.Lock()
	defer sl.opening.Unlock()
	if sl.index != nil || !sl.sealed.Load() {
		return false
	}
	x, err := sl.loadIndex()
	if x == nil || err != nil {
		return false // the search itself will say so
	}
	term, hashes := x.hasher.Search(q)
	at, n := x.entries(term)
	for _, h := range hashes {
		willNeed(x.file, at+int64(guess(n, h)-window/2)*entrySize, 2*window*entrySize)
	}
	return true
}

// seekNumbers looks the rows up and asks for the pages with their keys.
func (p *part) seekNumbers(f *search) {
	x, err := p.slice.openIndex()
	if x == nil || err != nil {
		p.err = err
		return
	}
	p.index = x
	if p.numbers, p.err = x.numbers(x.hasher.Search(&f.q)); p.slice.doubts(p.err) {
		p.seekNow(f)
	}
	for _, n := range p.numbers[:min(len(p.numbers), window)] {
		willNeed(x.file, headSize+int64(n)*entrySize, entrySize)
	}
}

func (p *part) seekKeys(f *search) {
	x, err := p.slice.openIndex()
	if x != p.index || x == nil || err != nil { // another one since, after erasing
		p.seekNow(f)
		return
	}
	keys, err := x.keys(p.numbers)
	if p.slice.doubts(err) {
		p.seekNow(f)
		return
	}
	p.way, p.err, p.sought = f.byKeys(keys), err, true
}

// readAhead reads the rows that parts have found, as many as are enough, and asks for the pages with their texts.
func (f *search) readAhead(parts []*part, enough int) {
	var ahead []*part
	for _, p := range parts {
		p.rows = make([][]byte, max(min(len(p.way.keys), enough), 0))
		enough -= len(p.rows)
		if len(p.rows) > 0 {
			ahead = append(ahead, p)
		}
	}
	together(ahead, func(p *part) { p.slice.wantRoots() })
	together(ahead, func(p *part) {
		if pages := p.slice.openPages(); pages != nil {
			pages.wantRows(p.way.keys[:len(p.rows)])
		}
	})
	together(ahead, (*part).readRows)
}

// firstPages is as much of a file as holds its schema and the roots of its tables.
const firstPages = 3 * 16 << 10

// wantRoots asks for the beginning of a file that is not open yet.
func (sl *slice) wantRoots() {
	sl.opening.Lock()
	defer sl.opening.Unlock()
	// A file that is not sealed may be open in this process, and closing it here would take its locks away.
	if sl.pages != nil || !sl.sealed.Load() {
		return
	}
	want(sl.path, firstPages)
}

// want asks for the beginning of a file.
func want(path string, length int64) {
	if file, err := os.Open(path); err == nil {
		willNeed(file, 0, length)
		_ = file.Close()
	}
}

func (p *part) readRows() {
	pages := p.slice.openPages()
	for i := range p.rows {
		if pages == nil {
			break
		}
		data, err := pages.data(p.way.keys[i])
		if err != nil {
			pages = nil // what is wrong shows when the row's turn comes
			break
		}
		if data != nil {
			p.rows[i] = data
			pages.wantTexts(data)
		}
	}
}

// data gives the row of a key, nil where it was erased.
func (p *part) data(from *pages, i int) ([]byte, error) {
	if i < len(p.rows) && p.rows[i] != nil {
		return p.rows[i], nil
	}
	return from.data(p.way.keys[i])
}
