package sqlitestore

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/usher-im/usher/internal/audit"
)

// indexOf writes an index of rows whose hashes f chooses and opens it.
func indexOf(t *testing.T, n int, f func(row int, term audit.Term) uint32) (*index, *terms) {
	t.Helper()
	all := &terms{}
	for row := range n {
		var hash [audit.Terms]uint32
		for term := range hash {
			hash[term] = f(row, audit.Term(term))
		}
		all.add(uint64(row)*1000+7, hash)
	}
	path := filepath.Join(t.TempDir(), "slice"+indexExt)
	if err := all.write(path, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	x, err := openIndex(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.file.Close() })
	return x, all
}

func TestIndex_FindsWhatTheRowsHave(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, f := range map[string]func(int, audit.Term) uint32{
		"spread": func(int, audit.Term) uint32 { return r.Uint32() | 1 },
		"few":    func(int, audit.Term) uint32 { return r.Uint32N(9) * 400_000_000 },
		"one":    func(int, audit.Term) uint32 { return 77 },
		"none":   func(int, audit.Term) uint32 { return 0 },
		"low":    func(int, audit.Term) uint32 { return 1 + r.Uint32N(3000) },
		"high":   func(int, audit.Term) uint32 { return ^r.Uint32N(3000) },
		"half":   func(row int, _ audit.Term) uint32 { return min(uint32(row%2)*5, 5) * r.Uint32N(1000) },
	} {
		for _, n := range []int{0, 1, 512, 513, 6000} {
			x, all := indexOf(t, n, f)
			for term := range audit.Terms {
				for try := range 20 {
					h := r.Uint32()
					if held := all.hashes[term]; len(held) > 0 && try%4 != 0 {
						h = held[r.IntN(len(held))]
					}
					if h == 0 {
						continue
					}
					got, err := x.find(term, []uint32{h})
					if want := all.find(term, []uint32{h}); err != nil || !slices.Equal(got, want) {
						t.Fatalf("%s, %d rows, hash %d: %d keys, want %d: %v", name, n, h, len(got), len(want), err)
					}
				}
			}
		}
	}
}

func TestIndex_DamagedFileIsRefused(t *testing.T) {
	x, _ := indexOf(t, 1000, func(row int, _ audit.Term) uint32 { return uint32(row) })
	whole, err := os.ReadFile(x.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, whole[:30], whole[:len(whole)-1], append([]byte("x"), whole...), append([]byte("ushridx2"), whole[8:]...)} {
		path := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openIndex(path); err == nil {
			t.Errorf("an index of %d bytes was taken", len(bad))
		}
	}
}

func TestStore_IndexThatIsLostMeanwhileIsMadeAgain(t *testing.T) {
	s := filled(t, t.TempDir(), 450)
	want := howMany(t, s, audit.Query{User: "user-4"})
	all, _ := s.all()
	s.closeIndexes(t)
	if err := errors.Join(os.Remove(all[0].path+indexExt), os.Truncate(all[1].path+indexExt, 100), os.Truncate(all[2].path+indexExt, 0)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // before and after
		if n := howMany(t, s, audit.Query{User: "user-4"}); n != want {
			t.Errorf("%d events of the user, want %d", n, want)
		}
		s.wakeSealer()
		settle(t, s)
	}
	for _, sl := range all[:3] {
		if !sl.sealed.Load() {
			t.Errorf("%s has no index", sl.path)
		}
	}
}

// closeIndexes is what happens to slices that nobody has asked for a while.
func (s *Store) closeIndexes(t *testing.T) {
	t.Helper()
	all, _ := s.all()
	for _, sl := range all {
		if err := sl.shut(); err != nil {
			t.Fatal(err)
		}
	}
}
