package sqlitestore

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"

	"github.com/usher-im/usher/internal/audit"
)

// pages finds rows in the file of a sealed slice by their keys, without opening a database for it: two or three reads
// and no more. Opening one costs fifty times as much, and a user's month lies in forty files. Only tables are read, and
// only files that nobody writes to; what is not as expected is left to SQLite (errPages). The format is documented and
// will not change: https://sqlite.org/fileformat.html.
type pages struct {
	file *os.File
	size int
	rows *table
	dict *table
	// spare holds buffers for the pages below the roots.
	spare sync.Pool

	mu    sync.Mutex
	texts map[uint64][]byte
}

// table is a tree of rows; its root is kept, since every search begins there.
type table struct{ root []byte }

var errPages = errors.New("the file has a form that only SQLite reads")

const (
	interior    = 0x05 // a page that points to pages
	leaf        = 0x0d // a page of rows
	fileHeadLen = 100
	mostDepth   = 20
)

func openPages(path string) (*pages, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	p := &pages{file: f, texts: map[uint64][]byte{}}
	if err := p.readSchema(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	p.spare.New = func() any { b := make([]byte, p.size); return &b }
	return p, nil
}

// readSchema finds the roots of the tables in the first page, which is the root of the table of tables.
func (p *pages) readSchema() error {
	head := make([]byte, fileHeadLen)
	if _, err := p.file.ReadAt(head, 0); err != nil {
		return err
	}
	p.size = int(binary.BigEndian.Uint16(head[16:]))
	if p.size == 1 {
		p.size = 1 << 16
	}
	if reserved := head[20]; p.size < 512 || reserved != 0 {
		return errPages
	}
	first, err := p.page(1)
	if err != nil {
		return err
	}
	body := page{data: first, head: fileHeadLen}
	if body.kind() != leaf {
		return errPages
	}
	for i := range body.cells() {
		_, payload, err := body.row(i)
		if err != nil {
			return err
		}
		// type, name, tbl_name, rootpage, sql
		name, err1 := columnOf(payload, 1)
		number, err2 := columnOf(payload, 3)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if name.kind != textKind || string(name.bytes) != "rows" && string(name.bytes) != "dict" {
			continue
		}
		root, err := p.page(number.int())
		if err != nil {
			return err
		}
		if string(name.bytes) == "rows" {
			p.rows = &table{root}
		} else {
			p.dict = &table{root}
		}
	}
	if p.rows == nil || p.dict == nil {
		return errPages
	}
	return nil
}

func (p *pages) page(number int64) ([]byte, error) {
	b := make([]byte, p.size)
	return b, p.read(b, number)
}

func (p *pages) read(b []byte, number int64) error {
	if number < 1 {
		return errPages
	}
	_, err := p.file.ReadAt(b, (number-1)*int64(p.size))
	return err
}

// find gives column i of the row of a key; nil where there is no such row.
func (p *pages) find(t *table, key int64, i int) ([]byte, error) {
	buf := p.spare.Get().(*[]byte)
	defer p.spare.Put(buf)
	record, err := p.record(t, key, *buf)
	if record == nil || err != nil {
		return nil, err
	}
	v, err := columnOf(record, i)
	return append([]byte{}, v.bytes...), err
}

// record gives the record of a key, which may lie in buf.
func (p *pages) record(t *table, key int64, buf []byte) ([]byte, error) {
	at := page{data: t.root}
	for range mostDepth {
		i, err := at.search(key)
		if err != nil {
			return nil, err
		}
		if at.kind() == leaf {
			if i == at.cells() {
				return nil, nil
			}
			found, record, err := at.row(i)
			if err != nil || found != key {
				return nil, err
			}
			return record, nil
		}
		child, err := at.child(i)
		if err != nil {
			return nil, err
		}
		if err := p.read(buf, child); err != nil {
			return nil, err
		}
		at.data = buf
	}
	return nil, errPages
}

// data is the packed event of a key.
func (p *pages) data(key uint64) ([]byte, error) {
	return p.find(p.rows, int64(key), 7) // k f j u a r n d
}

// text is what a number in a row stands for.
func (p *pages) text(number uint64) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.texts[number]; ok {
		return v, true
	}
	v, err := p.find(p.dict, int64(number), 2) // id tag v
	if v == nil || err != nil {
		return nil, false
	}
	p.texts[number] = v
	return v, true
}

// below is the page that leads from a table's root to a key; 0 where the root itself has the rows.
func (p *pages) below(t *table, key int64) int64 {
	root := page{data: t.root}
	if root.kind() != interior {
		return 0
	}
	i, err := root.search(key)
	if err != nil {
		return 0
	}
	number, err := root.child(i)
	if err != nil {
		return 0
	}
	return number
}

// want asks the disk for a page.
func (p *pages) want(number int64) {
	if number > 0 {
		willNeed(p.file, (number-1)*int64(p.size), int64(p.size))
	}
}

// wantRows asks for the pages that some rows lie on. Neighbours share one.
func (p *pages) wantRows(keys []uint64) {
	last := int64(0)
	for _, k := range keys {
		if number := p.below(p.rows, int64(k)); number != last {
			p.want(number)
			last = number
		}
	}
}

// wantTexts asks for the pages with the texts of a row that have not been read yet.
func (p *pages) wantTexts(data []byte) {
	fields, _ := audit.FieldsOf(data)
	var wanted []int64
	for {
		tag, text, ok := fields.Next()
		if !ok {
			return
		}
		if tag&audit.Coded == 0 {
			continue
		}
		number, _ := binary.Uvarint(text)
		if p.knows(number) {
			continue
		}
		if page := p.below(p.dict, int64(number)); !slices.Contains(wanted, page) {
			p.want(page)
			wanted = append(wanted, page)
		}
	}
}

func (p *pages) knows(number uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.texts[number]
	return ok
}

// visit calls f with the events of a part's keys that pass the filter, until it has enough.
func (f *search) visit(p *pages, part *part, show func(uint64, audit.Event) bool) error {
	for i, k := range part.way.keys {
		data, err := part.data(p, i)
		if err != nil {
			return err
		}
		if data == nil {
			continue // erased
		}
		e, err := audit.UnpackCoded(data, p.text)
		if err != nil {
			return err
		}
		if f.filter.Event(&e) && !show(k, e) {
			return nil
		}
	}
	return nil
}
