package sqlitestore

import (
	"bytes"
	"database/sql"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/usher-im/usher/internal/audit"
	"github.com/usher-im/usher/internal/audit/storetest"
)

// sealedSlice is a slice of n events of very different sizes, with a deep tree and many texts.
func sealedSlice(t *testing.T, n int) *slice {
	t.Helper()
	events := storetest.Events(n)
	for i := range events {
		events[i].Detail = strings.Repeat("é", i%120)
		events[i].Room = strings.Repeat("r", 1+i%200) + events[i].ID + "@conference.example.com"
	}
	s := openIn(t, t.TempDir(), Options{SliceRows: n - 1})
	if err := s.Append(t.Context(), storetest.Rows(events)); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	all, _ := s.all()
	return all[0]
}

func TestPages_ReadWhatSQLiteReads(t *testing.T) {
	sl := sealedSlice(t, 9000)
	p, err := openPages(sl.path)
	if err != nil {
		t.Fatal(err)
	}
	defer p.file.Close()
	db, err := openSealed(sl.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	compare(t, db, "SELECT k, d FROM rows", func(k int64) ([]byte, bool) {
		d, err := p.data(uint64(k))
		return d, d != nil && err == nil
	})
	compare(t, db, "SELECT id, v FROM dict", func(id int64) ([]byte, bool) { return p.text(uint64(id)) })
	for _, k := range []uint64{0, 1, 1<<63 - 1, audit.FirstK(storetest.Now) + 5} {
		if d, err := p.data(k); d != nil || err != nil {
			t.Errorf("a key that no row has gives %d bytes: %v", len(d), err)
		}
	}
	if _, ok := p.text(1 << 40); ok {
		t.Error("a number that stands for nothing gives a text")
	}
}

func TestPages_DamageIsAnErrorNeverACrash(t *testing.T) {
	sl := sealedSlice(t, 400)
	whole, err := os.ReadFile(sl.path)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	path := filepath.Join(t.TempDir(), "damaged")
	for range 300 {
		bad := bytes.Clone(whole)
		for range 1 + r.IntN(400) {
			bad[r.IntN(len(bad))] = byte(r.Uint32())
		}
		if r.IntN(4) == 0 {
			bad = bad[:r.IntN(len(bad))]
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := openPages(path)
		if err != nil {
			continue
		}
		for i := range storetest.Rows(storetest.Events(30)) {
			_, _ = p.data(audit.FirstK(storetest.Now) - uint64(i)<<24)
			_, _ = p.text(uint64(i))
		}
		p.file.Close()
	}
}

func compare(t *testing.T, db *sql.DB, query string, get func(int64) ([]byte, bool)) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var key int64
		var want []byte
		if err := rows.Scan(&key, &want); err != nil {
			t.Fatal(err)
		}
		if got, ok := get(key); !ok || !bytes.Equal(got, want) {
			t.Fatalf("%s: row %d: found %v, %d bytes, want %d", query, key, ok, len(got), len(want))
		}
	}
	if rows.Err() != nil || n < 1000 {
		t.Errorf("%d rows were compared: %v", n, rows.Err())
	}
}
