package sqlitestore

import (
	"os"
	"slices"
	"sync"

	"github.com/usher-im/usher/internal/audit"
)

// firstPages is as much of a file as holds its schema and the roots of its trees.
const firstPages = 128 << 10

// warm asks the disk, for slices that nobody has searched lately, for the pages that a search will want, all at once.
// Without it each read waits for the one before: in Go only as many reads wait side by side as there are cores. A user
// over a hundred cold slices is found in half the time.
func (f *search) warm(all []*slice) {
	var cold []*slice
	for _, sl := range slices.Backward(all) {
		if sl.hintIndex(&f.q) {
			cold = append(cold, sl)
		}
	}
	var running sync.WaitGroup
	queue := make(chan *slice)
	for range min(fanOut, len(cold)) {
		running.Go(func() {
			for sl := range queue {
				f.hintRows(sl)
			}
		})
	}
	for _, sl := range cold {
		queue <- sl
	}
	close(queue)
	running.Wait()
}

// hintIndex asks for the page of the index where the query's hash should be; false where the slice has been used
// lately, or has no index.
func (sl *slice) hintIndex(q *audit.Query) bool {
	release, err := sl.hold()
	if err != nil {
		return false
	}
	defer release()
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
	for _, h := range hashes {
		at, n := x.entries(term)
		willNeed(x.file, at+int64(guess(n, h))*entrySize, window*entrySize)
	}
	return true
}

// hintRows asks for the beginning of a file whose index has what is looked for.
func (f *search) hintRows(sl *slice) {
	release, err := sl.hold()
	if err != nil {
		return
	}
	defer release()
	w, err := f.way(sl)
	// A file that is not sealed may be open in this process, and closing it here would take its locks away.
	if err != nil || !w.known || w.nowhere() || !sl.sealed.Load() {
		return
	}
	if file, err := os.Open(sl.path); err == nil {
		willNeed(file, 0, firstPages)
		_ = file.Close()
	}
}
