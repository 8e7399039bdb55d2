package sqlitestore

import (
	"errors"
	"os"
)

// steadily asks again where another process changed a file meanwhile. A sealed file is read without locks, for nobody
// writes to it; but who erases from it does. That one takes the index away before it changes a row, and the sealer makes
// another when the file is as it will stay. So an index that was open before the rows were read, and is still there
// afterwards, says that they were all of one moment.
func (s *Store) steadily(ask func() error) error {
	for {
		err := ask()
		if !s.opt.ReadOnly || !s.overtaken(err != nil) {
			return err
		}
	}
}

func (s *Store) overtaken(failed bool) (any bool) {
	all, _ := s.all()
	for _, sl := range all {
		if sl.overtaken(failed) {
			any = true
		}
	}
	return any
}

// overtaken says whether a slice was changed or deleted since it was opened, and closes it then: the next question opens it
// as it is, with locks where it has no index. What has none needs a look only where something failed: it may be gone.
func (sl *slice) overtaken(failed bool) bool {
	sl.use.Lock()
	defer sl.use.Unlock()
	if sl.gone || sl.index == nil && !failed || sl.index != nil && stillThere(sl.index.file, sl.path+indexExt) {
		return false
	}
	_, err := os.Stat(sl.path)
	sl.gone = errors.Is(err, os.ErrNotExist) // by retention
	if sl.index == nil && !sl.gone {
		return false
	}
	sl.sealed.Store(false)
	_ = sl.closeReader() // nothing was written
	return true
}
