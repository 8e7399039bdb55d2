package sqlitestore

import (
	"encoding/binary"
	"sort"
)

// page is one page of a table's tree. Offsets in it are checked where they are used: a damaged file gives errPages.
type page struct {
	data []byte
	head int // where the page's own head begins: after the file's on the first page
}

func (p page) kind() byte { return p.data[p.head] }

func (p page) cells() int { return int(binary.BigEndian.Uint16(p.data[p.head+3:])) }

// cell is the bytes of a cell and what follows it.
func (p page) cell(i int) ([]byte, error) {
	pointers := p.head + 8
	if p.kind() == interior {
		pointers += 4
	}
	if pointers+2*i+2 > len(p.data) {
		return nil, errPages
	}
	at := int(binary.BigEndian.Uint16(p.data[pointers+2*i:]))
	if at < pointers || at >= len(p.data) {
		return nil, errPages
	}
	return p.data[at:], nil
}

// key is the key of a cell: of its row, or the highest below it.
func (p page) key(i int) (int64, error) {
	c, err := p.cell(i)
	if err != nil {
		return 0, err
	}
	switch p.kind() {
	case interior: // number of the page, key
		if len(c) < 4 {
			return 0, errPages
		}
		c = c[4:]
	case leaf: // length of the record, key, record
		_, n := varint(c)
		if n == 0 {
			return 0, errPages
		}
		c = c[n:]
	default:
		return 0, errPages
	}
	key, n := varint(c)
	if n == 0 {
		return 0, errPages
	}
	return key, nil
}

// search gives the first cell whose key is not below the one looked for.
func (p page) search(key int64) (int, error) {
	var failed error
	i := sort.Search(p.cells(), func(i int) bool {
		k, err := p.key(i)
		if err != nil {
			failed = err
		}
		return k >= key
	})
	return i, failed
}

// child is the page below cell i; below the last cell lies the one that the head names.
func (p page) child(i int) (int64, error) {
	if i == p.cells() {
		return int64(binary.BigEndian.Uint32(p.data[p.head+8:])), nil
	}
	c, err := p.cell(i)
	if err != nil || len(c) < 4 {
		return 0, errPages
	}
	return int64(binary.BigEndian.Uint32(c)), nil
}

// row is the key and the record of a leaf's cell. Records that go on on other pages are left to SQLite: our rows are
// smaller than a page.
func (p page) row(i int) (int64, []byte, error) {
	c, err := p.cell(i)
	if err != nil {
		return 0, nil, err
	}
	size, n := varint(c)
	key, m := varint(c[n:])
	if n == 0 || m == 0 || size < 0 || size > int64(len(p.data)-35) || n+m+int(size) > len(c) {
		return 0, nil, errPages
	}
	return key, c[n+m : n+m+int(size)], nil
}

// varint reads SQLite's own: up to eight bytes of seven bits, the highest first, and a ninth of eight. n is 0 where the
// bytes end before it does.
func varint(b []byte) (v int64, n int) {
	for i := range min(len(b), 9) {
		if i == 8 {
			return v<<8 | int64(b[i]), 9
		}
		v = v<<7 | int64(b[i]&0x7f)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// value is a column of a record.
type value struct {
	kind  byte
	bytes []byte
}

const (
	intKind  = byte('i')
	blobKind = byte('b')
	textKind = byte('t')
)

// int is the value of a column of integers, however many bytes it takes.
func (v value) int() int64 {
	if v.kind != intKind || len(v.bytes) == 0 {
		return 0
	}
	n := int64(int8(v.bytes[0]))
	for _, b := range v.bytes[1:] {
		n = n<<8 | int64(b)
	}
	return n
}

// columnOf gives column i of a record: a head of serial types, then the values.
func columnOf(record []byte, i int) (value, error) {
	size, n := varint(record)
	if n == 0 || size < int64(n) || size > int64(len(record)) {
		return value{}, errPages
	}
	types, at := record[n:size], int(size)
	for c := 0; ; c++ {
		serial, n := varint(types)
		if n == 0 {
			return value{}, errPages
		}
		types = types[n:]
		kind, length := serialType(serial)
		if length < 0 || at+length > len(record) {
			return value{}, errPages
		}
		if c == i {
			return value{kind, record[at : at+length]}, nil
		}
		at += length
	}
}

func serialType(t int64) (kind byte, length int) {
	switch {
	case t >= 12 && t%2 == 0:
		return blobKind, int(t-12) / 2
	case t >= 13:
		return textKind, int(t-13) / 2
	case t >= 1 && t <= 4:
		return intKind, int(t)
	case t == 5:
		return intKind, 6
	case t == 6 || t == 7:
		return intKind, 8
	case t == 0 || t == 8 || t == 9:
		return intKind, 0
	}
	return 0, -1
}
